package record

import (
	"cmp"
	"iter"
	"maps"
	"slices"
	"time"

	"gpu-preflight/checks"
)

// StatsSchema names the JSON form of Stats; additions only.
const StatsSchema = "gpu-preflight.stats/v1"

// Stats counts recorded launches.
type Stats struct {
	Schema      string         `json:"schema"`
	Launches    int            `json:"launches"`
	First       time.Time      `json:"first,omitzero"`
	Last        time.Time      `json:"last,omitzero"`
	Verdicts    map[string]int `json:"verdicts"`
	WouldRefuse int            `json:"would_refuse"`
	Problems    int            `json:"problems"` // launches with an error of ours
	Checks      []CheckCount   `json:"checks"`   // most failures first
	Images      []ImageCount   `json:"images"`   // most launches first
	Median      float64        `json:"median_ms"`
	P99         float64        `json:"p99_ms"`
}

// CheckCount tells how often a check had something to say.
type CheckCount struct {
	ID      string `json:"id"`
	Fail    int    `json:"fail"`
	Warn    int    `json:"warn"`
	Unknown int    `json:"unknown"`
}

// ImageCount tells how often an image was launched, and refused or would have been.
type ImageCount struct {
	Image    string `json:"image"`
	Launches int    `json:"launches"`
	Refused  int    `json:"refused"`
}

// Summarize counts records.
func Summarize(records iter.Seq[Record]) Stats {
	s := Stats{Schema: StatsSchema, Verdicts: map[string]int{}}
	byCheck, byImage := map[string]CheckCount{}, map[string]ImageCount{}
	var durations []float64
	for r := range records {
		s.add(r)
		durations = append(durations, r.Duration)
		for _, result := range r.Results {
			byCheck[result.ID] = byCheck[result.ID].add(result)
		}
		image := byImage[r.Container.Image]
		image.Image = r.Container.Image
		image.Launches++
		if (Filter{Refused: true}).Match(r) {
			image.Refused++
		}
		byImage[r.Container.Image] = image
	}
	slices.Sort(durations)
	s.Median, s.P99 = rank(durations, 50), rank(durations, 99)
	s.Checks = slices.AppendSeq([]CheckCount{}, maps.Values(byCheck))
	slices.SortFunc(s.Checks, func(a, b CheckCount) int {
		return cmp.Or(b.Fail-a.Fail, b.Warn-a.Warn, cmp.Compare(a.ID, b.ID))
	})
	s.Images = slices.AppendSeq([]ImageCount{}, maps.Values(byImage))
	slices.SortFunc(s.Images, func(a, b ImageCount) int {
		return cmp.Or(b.Launches-a.Launches, cmp.Compare(a.Image, b.Image))
	})
	return s
}

func (s *Stats) add(r Record) {
	s.Launches++
	s.Verdicts[r.Verdict]++
	if r.WouldRefuse {
		s.WouldRefuse++
	}
	if r.Problem != "" {
		s.Problems++
	}
	if s.First.IsZero() || r.Time.Before(s.First) {
		s.First = r.Time
	}
	if r.Time.After(s.Last) {
		s.Last = r.Time
	}
}

func (c CheckCount) add(r checks.Result) CheckCount {
	c.ID = r.ID
	switch r.Status {
	case checks.StatusFail:
		c.Fail++
	case checks.StatusWarn:
		c.Warn++
	case checks.StatusUnknown:
		c.Unknown++
	case checks.StatusPass, checks.StatusSkip:
	}
	return c
}

// rank is the nearest-rank percentile of sorted values.
func rank(sorted []float64, percent int) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[max(0, (len(sorted)*percent+99)/100-1)]
}
