package cuda

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Version is a CUDA version as far as it decides anything: major and minor. The third digit is an update or,
// since 13.4, a build number (CUDA Toolkit 13.4 release notes), and nothing depends on it.
type Version struct{ Major, Minor int }

var errVersion = errors.New("want 1 to 4 numbers with dots between them")

// ParseVersion reads "12", "12.4", "v12.4.1", "13.3.1.008" or "12.6.20241114": one to four numbers of at most
// nine digits with dots between them, an optional v before them, and nothing else. A lone major means minor 0.
func ParseVersion(s string) (Version, error) {
	parts, ok := numbers(strings.TrimPrefix(s, "v"), 1, 4)
	if !ok {
		return Version{}, fmt.Errorf("parse CUDA version %q: %w", clip(s), errVersion)
	}
	return Version{parts[0], parts[1]}, nil
}

// FromNVML reads the number that nvmlSystemGetCudaDriverVersion and cuDriverGetVersion return: 12040 is 12.4.
// A number below 1000 says nothing and gives the zero Version.
func FromNVML(n int) Version {
	if n < 1000 {
		return Version{}
	}
	return Version{n / 1000, n % 1000 / 10}
}

// Compare is negative, 0 or positive when v is lower than, equal to or higher than o.
func (v Version) Compare(o Version) int {
	return cmp.Or(cmp.Compare(v.Major, o.Major), cmp.Compare(v.Minor, o.Minor))
}

// Less tells whether v is lower than o.
func (v Version) Less(o Version) bool { return v.Compare(o) < 0 }

// IsZero tells whether v holds no version.
func (v Version) IsZero() bool { return v == Version{} }

// String writes "12.4".
func (v Version) String() string { return strconv.Itoa(v.Major) + "." + strconv.Itoa(v.Minor) }

// MarshalText writes "12.4".
func (v Version) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText reads what ParseVersion reads.
func (v *Version) UnmarshalText(text []byte) error {
	parsed, err := ParseVersion(string(text))
	if err != nil {
		return err
	}
	*v = parsed
	return nil
}

// numbers reads at least least and at most most (<= 4) decimal numbers with dots between them, and nothing
// else. Those that are not there are 0.
func numbers(s string, least, most int) (out [4]int, ok bool) {
	for i := range most {
		head, tail, more := strings.Cut(s, ".")
		if out[i], ok = number(head); !ok {
			return out, false
		}
		if !more {
			return out, i+1 >= least
		}
		s = tail
	}
	return out, false
}

// number reads one to nine decimal digits, so that it fits every int.
func number(s string) (int, bool) {
	if s == "" || len(s) > 9 {
		return 0, false
	}
	n := 0
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return n, true
}

// clip keeps foreign text in an error short.
func clip(s string) string {
	const most = 40
	if len(s) <= most {
		return s
	}
	return s[:most] + "..."
}
