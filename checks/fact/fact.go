// Package fact holds the one shape of everything the program knows: a value with its source, or the reason
// why it is not known.
package fact

import (
	"encoding/json"
)

// Fact is a value that was read from Source, or the reason why it could not be read. It is known when Source
// is set and Unknown is not; the zero Fact is unknown. "Absent" is a value (a known empty list, a known
// false), never an unknown. It survives JSON: {"value": …, "source": "…"} or {"unknown": "…", "source": "…"}.
type Fact[T any] struct {
	Value   T
	Source  string
	Unknown string
}

// Of returns a known fact. source names the file or call it came from.
func Of[T any](value T, source string) Fact[T] { return Fact[T]{Value: value, Source: source} }

// Missing returns an unknown fact: the place that was asked, and why it gave no answer.
func Missing[T any](source, why string) Fact[T] { return Fact[T]{Source: source, Unknown: why} }

// Known tells whether Value may be used.
func (f Fact[T]) Known() bool { return f.Source != "" && f.Unknown == "" }

// Why says why the fact is unknown; empty when it is known.
func (f Fact[T]) Why() string {
	switch {
	case f.Known():
		return ""
	case f.Unknown == "":
		return "not read"
	case f.Source == "":
		return f.Unknown
	default:
		return f.Source + ": " + f.Unknown
	}
}

// IsZero leaves facts that nobody asked for out of JSON (omitzero).
func (f Fact[T]) IsZero() bool { return f.Source == "" && f.Unknown == "" }

// MarshalJSON writes the two forms of a Fact. The frame is written by hand: a launch writes a hundred facts of a dozen
// types, and an encoder for each type would have to be made first.
func (f Fact[T]) MarshalJSON() ([]byte, error) {
	if !f.Known() {
		return framed(`{"unknown":`, f.Why())
	}
	value, err := json.Marshal(f.Value)
	if err != nil {
		return nil, err
	}
	return framed(`{"value":`+string(value)+`,"source":`, f.Source)
}

func framed(begin, text string) ([]byte, error) {
	quoted, err := json.Marshal(text)
	return append(append([]byte(begin), quoted...), '}'), err
}

// DecodeError is a fact of the wrong shape. JSON is its text, by which a reader of a larger document finds the
// place.
type DecodeError struct {
	JSON []byte
	Err  error
}

// Error says what is wrong with the fact.
func (e *DecodeError) Error() string { return "fact: " + e.Err.Error() }

// Unwrap is what the decoder said.
func (e *DecodeError) Unwrap() error { return e.Err }

// UnmarshalJSON reads both forms. A value without a source is given the source "given".
func (f *Fact[T]) UnmarshalJSON(data []byte) error {
	var wire struct {
		Value   *T     `json:"value"`
		Source  string `json:"source"`
		Unknown string `json:"unknown"`
	}
	if err := json.Unmarshal(data, &wire); err != nil {
		return &DecodeError{JSON: data, Err: err}
	}
	*f = Fact[T]{Source: wire.Source, Unknown: wire.Unknown}
	switch {
	case wire.Value != nil:
		f.Value = *wire.Value
		if f.Source == "" && f.Unknown == "" {
			f.Source = "given"
		}
	case f.Unknown == "":
		f.Unknown = "no value given"
	}
	return nil
}
