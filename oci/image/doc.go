// Package image reads what a container image needs of its host: what it declares in its environment
// (NVIDIA_REQUIRE_*, CUDA_VERSION) and what is found in its files. It reads only; package checks judges.
package image
