package cuda

import _ "embed" // the tables, as text

//go:embed data/arch.tsv
var archTSV string

//go:embed data/branches.tsv
var branchesTSV string

//go:embed data/brands.tsv
var brandsTSV string

//go:embed data/chips.tsv
var chipsTSV string

//go:embed data/errors.tsv
var errorsTSV string

//go:embed data/fabric.tsv
var fabricTSV string

//go:embed data/forward.tsv
var forwardTSV string

//go:embed data/gpus.tsv
var gpusTSV string

//go:embed data/lifecycle.tsv
var lifecycleTSV string

//go:embed data/minor.tsv
var minorTSV string

//go:embed data/sources.tsv
var sourcesTSV string

//go:embed data/toolkits.tsv
var toolkitsTSV string
