package explain

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"gpu-preflight/checks"
	"gpu-preflight/checks/cuda"
)

// wordMeanings are the meanings of a text that is one word or one number; nil for any other. oneOf: a number that
// several have.
func wordMeanings(text string) (found []finding, oneOf bool) {
	if len(text) > 200 {
		return nil, false
	}
	word := strings.Trim(lower(strings.TrimSpace(text)), "[]\"'`")
	if m := bareNumber.FindStringSubmatch(word); m != nil {
		n, err := strconv.Atoi(m[1])
		if err != nil {
			return nil, false
		}
		return numberMeanings(n), true
	}
	if m := cudaWord.FindStringSubmatch(word); m != nil {
		return cudaMeanings(m[1]), false
	}
	if _, known := entryOf(word); known {
		return []finding{{key: word}}, false
	}
	return nil, false
}

var (
	bareNumber = regexp.MustCompile(`^(?:error|err|code)?[ :=#]{0,2}(\d{1,5})$`)
	cudaWord   = regexp.MustCompile(`^cuda(?: error)?[ :=]{1,2}(\d{1,5})$`)
)

// numberMeanings are all owners of a number, the likeliest first.
func numberMeanings(n int) []finding {
	var found []finding
	for _, kind := range []string{"cuda", "nvml", "xid"} {
		key := fmt.Sprintf("%s-%d", kind, n)
		if e, known := entryOf(key); known && e.Key == key {
			found = add(found, key, "")
		}
	}
	for _, old := range oldRows() {
		if old.old == n {
			found = add(found, fmt.Sprintf("cuda-%d", old.today), "")
		}
	}
	return found
}

// cudaMeanings are the error of a number that is CUDA's for sure, and the one that the runtime meant by it before
// CUDA 10.1.
func cudaMeanings(digits string) []finding {
	found := []finding{}
	key := keyOf("cuda", digits)
	if _, known := entryOf(key); known {
		found = add(found, key, "")
	}
	for _, old := range oldRows() {
		if fmt.Sprintf("cuda-%d", old.old) == key {
			found = add(found, fmt.Sprintf("cuda-%d", old.today), "")
		}
	}
	return found
}

// keyOf is the key of a number, however many zeros stand before it.
func keyOf(kind, digits string) string {
	n, _ := strconv.Atoi(digits)
	return fmt.Sprintf("%s-%d", kind, n)
}

var (
	xidInText     = regexp.MustCompile(`\bxid(?: \([^)]{1,40}\))?[:=# ]{0,3}(\d{1,5})\b`)
	nvmlInText    = regexp.MustCompile(`\bnvml(?: error| code| return(?:ed)?)?[ :=]{1,3}(\d{1,3})(?:[^.\d]|$)`)
	cudaNumber    = regexp.MustCompile(`(exit )?\b(cuda )?(?:error|err|failure|code)[:= (]{1,3}(\d{1,3})\b`)
	cudaCompared  = regexp.MustCompile(`cudasuccess \((\d{1,3}) vs`)
	nameInText    = regexp.MustCompile(`\b(?:cuda_error_[a-z0-9_]+|cudaerror[a-z0-9]+|nvml_[a-z_]+)`)
	refusalInText = regexp.MustCompile(`\[([a-z0-9-]+); gpu-preflight logs\]`)
	failedInText  = regexp.MustCompile(`(?:✗ fail|! warn) [^\[]{1,400}\[([a-z0-9-]+)\]`)
)

// fromWords finds names and numbers in a normal text of small letters.
func fromWords(small, shown string) []finding {
	found := fromRefusal(small)
	for _, m := range xidInText.FindAllStringSubmatchIndex(small, -1) {
		e, _ := entryOf(keyOf("xid", small[m[2]:m[3]]))
		found = add(found, e.Key, shown[m[0]:m[1]])
	}
	for _, m := range nvmlInText.FindAllStringSubmatchIndex(small, -1) {
		found = add(found, keyOf("nvml", small[m[2]:m[3]]), shown[m[0]:m[3]])
	}
	keys := names()
	for _, m := range nameInText.FindAllStringIndex(small, -1) {
		if key, known := keys[small[m[0]:m[1]]]; known {
			found = add(found, key, shown[m[0]:m[1]])
		}
	}
	for _, m := range cudaCompared.FindAllStringSubmatchIndex(small, -1) {
		found = add(found, keyOf("cuda", small[m[2]:m[3]]), shown[m[0]:m[1]])
	}
	for _, f := range cudaNumbersIn(small, shown) {
		found = add(found, f.key, f.seen)
	}
	return append(found, cudaTexts(small, shown)...)
}

// cudaNumbersIn finds numbers that the text calls CUDA's, and those called error or code in a text about CUDA.
func cudaNumbersIn(small, shown string) []finding {
	var found []finding
	for _, m := range cudaNumber.FindAllStringSubmatchIndex(small, -1) {
		digits, seen := small[m[6]:m[7]], shown[m[0]:m[1]]
		switch {
		case m[2] >= 0: // a program's exit code
		case m[4] >= 0:
			for _, f := range cudaMeanings(digits) {
				found = add(found, f.key, seen)
			}
		case strings.HasPrefix(digits, "80") || strings.Contains(small, "cuda") || strings.Contains(small, "cuinit"):
			found = add(found, keyOf("cuda", digits), seen)
		}
	}
	return found
}

// fromRefusal are the checks of our own refusal, the one in brackets and those under "Also", or of what gpu-preflight
// check prints.
func fromRefusal(small string) []finding {
	var found []finding
	for _, m := range failedInText.FindAllStringSubmatch(small, -1) {
		found = add(found, m[1], m[1])
	}
	m := refusalInText.FindStringSubmatch(small)
	if m == nil {
		return found
	}
	found = add(found, m[1], m[0])
	words := strings.FieldsFunc(small, func(c rune) bool { return strings.ContainsRune(" ,;.:[]", c) })
	for _, c := range checks.All() {
		if slices.Contains(words, c.ID) {
			found = add(found, c.ID, c.ID)
		}
	}
	return found
}

// names leads from the names of CUDA's and NVML's errors, in small letters, to keys.
func names() map[string]string {
	list := map[string]string{}
	for _, r := range cuda.Errors() {
		key := fmt.Sprintf("cuda-%d", r.Code)
		list[lower(r.Driver)], list[lower(r.Runtime)] = key, key
	}
	for _, r := range nvmlRows() {
		list[lower(r.name)] = fmt.Sprintf("nvml-%d", r.code)
	}
	delete(list, "")
	return list
}

// cudaTexts finds the texts that CUDA prints. Those of few words ("unknown error") are everybody's.
func cudaTexts(small, shown string) []finding {
	var found []finding
	for _, r := range cuda.Errors() {
		text := strings.TrimSuffix(lower(r.Text), ".")
		if i := strings.Index(small, text); i >= 0 && strings.Count(text, " ") >= 3 {
			found = add(found, fmt.Sprintf("cuda-%d", r.Code), shown[i:i+len(text)])
		}
	}
	return found
}
