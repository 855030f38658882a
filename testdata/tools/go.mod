module gpu-preflight/testdata/tools

go 1.26.0
