package register

// All are the engines, the narrowest place first.
func All() []Engine {
	return []Engine{cdi(), nvidiaCTK(), podman(), crio(), docker(), containerd()}
}
