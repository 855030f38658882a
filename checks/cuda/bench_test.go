package cuda

import "testing"

// The first question to a table pays for parsing it; the hook asks a few.
func BenchmarkParse(b *testing.B) {
	b.Run("branches", func(b *testing.B) {
		for b.Loop() {
			parse(branchesTSV, func(r *row) BranchRow { return BranchRow{r.int(), r.version(), r.provenance()} })
		}
	})
	b.Run("toolkits", func(b *testing.B) {
		for b.Loop() {
			parse(toolkitsTSV, func(r *row) toolkitRow { return toolkitRow{r.text(), r.driver(), r.int(), r.provenance()} })
		}
	})
	b.Run("forward", func(b *testing.B) {
		for b.Loop() {
			parse(forwardTSV, func(r *row) forwardRow {
				return forwardRow{r.version(), r.ints(), r.ints(), r.ints(), r.provenance()}
			})
		}
	})
}

func BenchmarkLookup(b *testing.B) {
	for b.Loop() {
		MaxCUDA(620)
		RecommendedBranch(Version{13, 0})
		ToolkitMinDriver(Version{7, 0})
	}
}
