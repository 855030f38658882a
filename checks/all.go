package checks

// All is every check in the order it runs, doctor's own among them: from the driver up to what the image needs, so
// that a cause comes before what follows from it.
func All() []Check {
	return []Check{
		driverLoaded,
		driverLibraryVersion,
		nvmlResponds,
		gpuPresent,
		gpuReachable,
		gpuInjected,
		containerDevices,
		cudaRequirement,
		cudaDriverVersion,
		gpuComputeCapability,
		fabricManagerRunning,
		fabricManagerVersion,
		fabricState,
		gpuOnPCI,
		moduleForRunningKernel,
		moduleForNextKernel,
		moduleOrigin,
		moduleOnDisk,
		dkmsTree,
		secureBoot,
		moduleParameters,
		kernelLog,
		libraryCopies,
		hostCUDAToolkit,
		nvidiaSMI,
		packageState,
		packageMetapackage,
		packageBranches,
		packageOrigins,
		packageHolds,
		fabricManagerPackage,
		fabricManagerLog,
		nvlink5Modules,
		containerToolkit,
		cdiFiles,
		deviceLinks,
	}
}
