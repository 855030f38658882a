package cuda

import (
	"cmp"
	"errors"
	"fmt"
)

// Driver is the version of an NVIDIA driver for Linux: 535.183.06, 580.142, 550.54.15. The zero Driver holds
// no version.
type Driver struct {
	text  string
	parts [4]int
}

var errDriver = errors.New("want branch.number or branch.number.number, branch 100 to 9999")

// ParseDriver reads two or three numbers with dots between them and nothing else. The first, the branch, is
// 100 to 9999: what is lower is a driver of before 2007 or no driver at all, as the L4T release 35.3.1 that a
// Jetson's module shows, and must not be compared with the tables.
func ParseDriver(s string) (Driver, error) {
	parts, ok := numbers(s, 2, 3)
	if !ok || parts[0] < 100 || parts[0] > 9999 {
		return Driver{}, fmt.Errorf("parse driver version %q: %w", clip(s), errDriver)
	}
	return Driver{s, parts}, nil
}

// Branch is the first number: 535 for 535.183.06, 0 for the zero Driver.
func (d Driver) Branch() int { return d.parts[0] }

// Compare is negative, 0 or positive when d is older than, equal to or newer than o. A missing third number
// counts as 0: 455.32 equals 455.32.00.
func (d Driver) Compare(o Driver) int {
	return cmp.Or(cmp.Compare(d.parts[0], o.parts[0]), cmp.Compare(d.parts[1], o.parts[1]), cmp.Compare(d.parts[2], o.parts[2]))
}

// IsZero tells whether d holds no version.
func (d Driver) IsZero() bool { return d.parts[0] == 0 }

// String is the text that was parsed.
func (d Driver) String() string { return d.text }

// MarshalText writes the text that was parsed; the zero Driver is empty.
func (d Driver) MarshalText() ([]byte, error) { return []byte(d.text), nil }

// UnmarshalText reads what ParseDriver reads; empty text is the zero Driver.
func (d *Driver) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*d = Driver{}
		return nil
	}
	parsed, err := ParseDriver(string(text))
	if err != nil {
		return err
	}
	*d = parsed
	return nil
}
