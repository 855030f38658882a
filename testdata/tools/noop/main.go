// Noop does nothing: the yardstick of the benchmark, and the next runtime behind the shim in it.
package main

func main() {}
