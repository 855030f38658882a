package checks

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"gpu-preflight/oci/image"
)

// requireFacts is what one GPU's driver and board give to the NVIDIA_REQUIRE language: CUDA is the kernel
// driver's version ("12.4"), Arch the compute capability ("8.9"), Brand a word of NVML or of
// libnvidia-container. An empty one is unknown, and what asks for it holds.
type requireFacts struct{ CUDA, Driver, Arch, Brand string }

// outcome is what libnvidia-container makes of a requirement.
type outcome int

const (
	satisfied outcome = iota
	unsatisfied
	// invalid: an invalid factor was reached before any term held; nvidia-container-cli says "invalid expression".
	invalid
)

// maxFactor is the length in bytes of a factor written "name op value" from which libnvidia-container
// (EXPR_MAX of src/cli/dsl.c) calls it invalid. It looks at the length of unmet factors only.
const maxFactor = 128

// satisfy evaluates a requirement as libnvidia-container does (src/cli/dsl.c, configure.c), for one set of
// facts: terms from left to right until one holds, factors until one does not. unmet are the terms that do
// not hold, as written; why says what is wrong with an invalid factor.
func satisfy(r image.Requirement, f requireFacts) (result outcome, unmet []string, why string) {
	for _, term := range r.Terms {
		met, wrong := f.meet(term)
		switch {
		case wrong != "":
			return invalid, unmet, wrong
		case met:
			return satisfied, nil, ""
		}
		unmet = append(unmet, term.Text)
	}
	if len(unmet) == 0 {
		return satisfied, nil, ""
	}
	return unsatisfied, unmet, ""
}

func (f requireFacts) meet(term image.Term) (met bool, why string) {
	for _, factor := range term.Factors {
		if met, why = f.holds(factor); !met {
			return false, why
		}
	}
	return true, ""
}

// holds evaluates one factor; a factor that cannot be evaluated does not hold and has a why.
func (f requireFacts) holds(factor image.Factor) (met bool, why string) {
	if factor.Name == "" {
		return false, factor.Invalid
	}
	fact := f.named(factor.Name)
	switch {
	case fact == "":
		return true, ""
	case factor.Invalid != "":
		return false, factor.Invalid
	case factor.Name == "brand":
		same := len(fact) == len(factor.Value) && strings.EqualFold(fact, factor.Value)
		met = same == (factor.Op == "=")
	default:
		order, ok := compareVersions(fact, factor.Value)
		if !ok {
			return false, fmt.Sprintf("%s %+.40q and %+.40q cannot be compared", factor.Name, fact, factor.Value)
		}
		met = ordered(order, factor.Op)
	}
	if length := len(factor.Name) + len(factor.Op) + len(factor.Value) + 2; !met && length >= maxFactor {
		return false, fmt.Sprintf("factor of %d characters, more than %d", length, maxFactor-1)
	}
	return met, ""
}

func (f requireFacts) named(name string) string {
	switch name {
	case "cuda":
		return f.CUDA
	case "driver":
		return f.Driver
	case "arch":
		return f.Arch
	default: // brand, the last name of the language
		return libnvidiaBrand(f.Brand)
	}
}

func ordered(order int, op string) bool {
	switch op {
	case "=":
		return order == 0
	case "!=":
		return order != 0
	case "<":
		return order < 0
	case "<=":
		return order <= 0
	case ">":
		return order > 0
	default: // ">=", the last operator of the language
		return order >= 0
	}
}

// compareVersions compares as libnvidia-container does: number by number; where one version ends, zeros and
// dots of the other count for nothing and anything else makes the other larger. Several dots count as one.
// ok is false for what is no version, and for a number that does not fit 64 bits when it is reached.
func compareVersions(a, b string) (order int, ok bool) {
	if strings.Trim(a, "0123456789.") != "" || strings.Trim(b, "0123456789.") != "" {
		return 0, false
	}
	for a != "" && b != "" {
		x, restA, okA := leadingNumber(a)
		y, restB, okB := leadingNumber(b)
		switch {
		case !okA || !okB:
			return 0, false
		case x < y:
			return -1, true
		case x > y:
			return 1, true
		}
		a, b = restA, restB
	}
	switch {
	case strings.Trim(a, ".0") != "":
		return 1, true
	case strings.Trim(b, ".0") != "":
		return -1, true
	}
	return 0, true
}

// leadingNumber takes the number at the start of a version, and the dots after it.
func leadingNumber(version string) (n uint64, rest string, ok bool) {
	rest = strings.TrimLeft(version, "0123456789")
	n, err := strconv.ParseUint(version[:len(version)-len(rest)], 10, 64)
	return n, strings.TrimLeft(rest, "."), err == nil && n != math.MaxUint64
}

// nearest returns the term of an unsatisfied requirement that is nearest to being met, for the message: the
// lowest lone cuda>=X, which lacks one factor and says what to install, else the first with the fewest unmet
// factors. It is empty when there is no term.
func nearest(r image.Requirement, f requireFacts) string {
	if term, ok := lowestLoneTerm(r); ok {
		return term.Text
	}
	text, fewest := "", math.MaxInt
	for _, term := range r.Terms {
		lacking := 0
		for _, factor := range term.Factors {
			if met, _ := f.holds(factor); !met {
				lacking++
			}
		}
		if lacking < fewest {
			text, fewest = term.Text, lacking
		}
	}
	return text
}

// lowestLoneCUDA returns the lowest X, as written, of the terms that are cuda>=X and nothing else.
func lowestLoneCUDA(r image.Requirement) (version string, ok bool) {
	term, ok := lowestLoneTerm(r)
	if !ok {
		return "", false
	}
	return term.Factors[0].Value, true
}

func lowestLoneTerm(r image.Requirement) (lowest image.Term, found bool) {
	for _, term := range r.Terms {
		if len(term.Factors) != 1 {
			continue
		}
		factor := term.Factors[0]
		if factor.Name != "cuda" || factor.Op != ">=" || factor.Invalid != "" {
			continue
		}
		if _, ok := compareVersions(factor.Value, factor.Value); !ok {
			continue
		}
		if found {
			if order, _ := compareVersions(factor.Value, lowest.Factors[0].Value); order >= 0 {
				continue
			}
		}
		lowest, found = term, true
	}
	return lowest, found
}

// libnvidiaBrand maps a brand word of NVML (GEFORCE_RTX, TESLA, NVIDIA) or of libnvidia-container to what
// libnvidia-container compares with. Its table (src/driver.c) ends at NVML's number 6, TITAN: later brands,
// GEFORCE_RTX and the NVIDIA of an A100 or H100 among them, are Unknown to it. Empty stays empty.
func libnvidiaBrand(brand string) string {
	if brand == "" {
		return ""
	}
	for _, word := range []string{"Quadro", "Tesla", "NVS", "GRID", "GeForce", "TITAN"} {
		if strings.EqualFold(word, brand) {
			return word
		}
	}
	return "Unknown"
}
