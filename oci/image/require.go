package image

import (
	"fmt"
	"strings"
)

const (
	// maxExpression bounds one expression, in bytes. The longest string of a published image has 2596.
	maxExpression = 64 << 10
	operatorChars = "<>=!"
)

// Requirement is one NVIDIA_REQUIRE_* variable: an OR of terms, in the order written. No term means that
// nothing is required.
type Requirement struct {
	Name       string `json:"name"`
	Expression string `json:"expression"`
	Terms      []Term `json:"terms,omitempty"`
}

// Term is an AND of factors, in the order written. Text is the term as written, empty factors included.
type Term struct {
	Text    string   `json:"text"`
	Factors []Factor `json:"factors"`
}

// Factor is one comparison of a fact of the host with a value.
//
// Invalid says why libnvidia-container cannot evaluate it, and is empty for a valid factor. Name is cuda,
// driver, arch or brand; it is empty when the factor has no name, operator and value to look up, which is an
// error whatever the host is. A factor with both a Name and an Invalid is an error only on a host that knows
// the fact.
type Factor struct {
	Text    string `json:"text"`
	Name    string `json:"name,omitempty"`
	Op      string `json:"op,omitempty"`
	Value   string `json:"value,omitempty"`
	Invalid string `json:"invalid,omitempty"`
}

// ParseRequirement reads an expression as libnvidia-container does (src/cli/dsl.c): a space is OR, a comma is
// AND and binds tighter, a tab separates nothing. It never fails: libnvidia-container evaluates from left to
// right and stops at the first term that holds, so an invalid factor stays in its place and counts only when
// it is reached. Its quirks, kept because they decide launches:
//   - empty factors are skipped: "cuda>=12.4,,driver>=1" has two factors;
//   - a token of commas alone ends the expression, and what follows is never read;
//   - a lone "!" means "!=", while "==", "=>", "=<" and "<>" are no operators.
//
// An expression over 64 KiB becomes one invalid term that names its length.
func ParseRequirement(name, expression string) Requirement {
	r := Requirement{Name: name, Expression: expression}
	if len(expression) > maxExpression {
		why := fmt.Sprintf("expression of %d bytes, more than %d", len(expression), maxExpression)
		r.Terms = []Term{{Text: "...", Factors: []Factor{{Text: "...", Invalid: why}}}}
		return r
	}
	for token := range strings.SplitSeq(expression, " ") {
		if token == "" {
			continue
		}
		term := parseTerm(token)
		if len(term.Factors) == 0 {
			break
		}
		r.Terms = append(r.Terms, term)
	}
	return r
}

func parseTerm(token string) Term {
	term := Term{Text: token}
	for text := range strings.SplitSeq(token, ",") {
		if text != "" {
			term.Factors = append(term.Factors, parseFactor(text))
		}
	}
	return term
}

func parseFactor(text string) Factor {
	start := strings.IndexAny(text, operatorChars)
	switch start {
	case -1:
		return Factor{Text: text, Invalid: fmt.Sprintf("no operator in %+.40q", text)}
	case 0:
		return Factor{Text: text, Invalid: fmt.Sprintf("no name in %+.40q", text)}
	}
	value := strings.TrimLeft(text[start:], operatorChars)
	run := text[start : len(text)-len(value)]
	name, op := factName(text[:start]), operator(run)
	f := Factor{Text: text, Op: op, Value: value}
	switch {
	case op == "":
		f.Invalid = fmt.Sprintf("unknown operator %.8q", run)
	case value == "":
		f.Invalid = fmt.Sprintf("no value in %+.40q", text)
	case name == "":
		f.Invalid = fmt.Sprintf("unknown name %+.40q", text[:start])
	default:
		f.Name, f.Invalid = name, whyInvalid(name, op, value)
	}
	return f
}

// factName finds the fact by its name in any case of ASCII letters. The lengths are compared because
// EqualFold also folds letters outside ASCII, which are longer.
func factName(written string) string {
	for _, name := range []string{"cuda", "driver", "arch", "brand"} {
		if len(written) == len(name) && strings.EqualFold(written, name) {
			return name
		}
	}
	return ""
}

// operator returns the operator that a run of operator characters stands for, empty for none.
func operator(run string) string {
	switch run {
	case "=", "!=", "<", "<=", ">", ">=":
		return run
	case "!":
		return "!="
	}
	return ""
}

func whyInvalid(name, op, value string) string {
	switch {
	case name == "brand" && op != "=" && op != "!=":
		return "a brand is compared with = and != only, not with " + op
	case name == "brand":
		return ""
	case strings.Trim(value, "0123456789.") != "", value[0] == '.':
		return fmt.Sprintf("no version: %+.40q", value)
	}
	return ""
}
