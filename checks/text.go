package checks

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxPrintable bounds one foreign text on a terminal, in bytes before escaping.
const maxPrintable = 4096

// Printable makes text of any origin fit for one line of a terminal: what is not printable (control characters,
// the escapes of terminals, line and direction marks, broken UTF-8) is shown as Go writes it in a string, and a
// text over 4 KiB is cut.
func Printable(text string) string {
	cut := len(text) > maxPrintable
	if cut {
		text = Cut(text, maxPrintable)
	}
	var b strings.Builder
	for i, r := range text {
		if r == utf8.RuneError && !strings.HasPrefix(text[i:], string(utf8.RuneError)) {
			fmt.Fprintf(&b, `\x%02x`, text[i])
			continue
		}
		if strconv.IsPrint(r) {
			b.WriteRune(r)
			continue
		}
		escaped := strconv.QuoteRune(r)
		b.WriteString(escaped[1 : len(escaped)-1])
	}
	if cut {
		b.WriteString("…")
	}
	return b.String()
}

// Cut keeps at most limit bytes of a text and never half a character.
func Cut(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	for limit > 0 && !utf8.RuneStart(text[limit]) {
		limit--
	}
	return text[:limit]
}

// EscapeJSON escapes in a JSON text the control and format characters that JSON lets stand (delete, C1, marks
// of direction), so that the text can be shown on a terminal. The value stays the same.
func EscapeJSON(data []byte) []byte {
	var b []byte
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		if r >= 0x7f && unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) && r <= 0xffff {
			if b == nil {
				b = append(make([]byte, 0, len(data)+64), data[:i]...)
			}
			b = fmt.Appendf(b, `\u%04x`, r)
		} else if b != nil {
			b = append(b, data[i:i+size]...)
		}
		i += size
	}
	if b == nil {
		return data
	}
	return b
}
