// Package cuda knows CUDA and driver versions and what NVIDIA says about how they go together: which CUDA a
// driver branch brings, which driver a toolkit asks for, what minor-version and forward compatibility reach,
// which GPU architectures a toolkit and a driver serve, and how CUDA's errors read. It imports nothing of ours.
//
// What the tables do not hold is unknown: every lookup says so with its last result, and a caller must not
// turn that into a failure. Where sources disagree the row keeps the lower need and is marked Conflict.
//
// # The tables
//
// They are the files of data/, one row a line, fields apart by tabs, "-" for none, "#" before a comment. The
// last two fields of a row are its confidence and the keys of its sources (data/sources.tsv). A table is
// parsed when it is first asked, in microseconds; nothing happens at start-up.
//
// To bring in a new driver branch or toolkit:
//
//  1. Add its rows to branches.tsv, toolkits.tsv, lifecycle.tsv and forward.tsv, with a source.
//  2. Write down the same facts in expected_test.go, from the source and not from the table.
//  3. Move LifecycleDate when the support column was looked through.
//  4. Run go test ./checks/cuda: it compares the tables with each other, with the expected facts and, where
//     the collected documents are at hand, with those.
package cuda
