package cuda

import (
	"slices"
	"sync"
)

// ErrorRow is a CUDA error: the names of the driver and runtime API, and the text that both print.
type ErrorRow struct {
	Code    int
	Driver  string // CUDA_ERROR_…; empty where the runtime alone has it
	Runtime string // cudaError…
	Text    string
	Provenance
}

var cudaErrors = sync.OnceValue(func() []ErrorRow {
	return parse(errorsTSV, func(r *row) ErrorRow {
		return ErrorRow{r.int(), r.text(), r.text(), r.text(), r.provenance()}
	})
})

// ErrorText is the name and the text of a CUDA error: CUDA_ERROR_SYSTEM_NOT_READY, "system not yet
// initialized" for 802. The name is the driver API's, else the runtime's. ok is false for a code that is not
// in the table.
func ErrorText(code int) (name, text string, ok bool) {
	row, ok := find(cudaErrors(), func(e ErrorRow) bool { return e.Code == code })
	if row.Driver == "" {
		return row.Runtime, row.Text, ok
	}
	return row.Driver, row.Text, ok
}

// Errors are the CUDA errors of the table, lowest code first.
func Errors() []ErrorRow { return slices.Clone(cudaErrors()) }
