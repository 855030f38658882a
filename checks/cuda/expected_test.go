package cuda

// What the tables have to say, written down apart from them and in another shape, so that a wrong digit in
// data/ is seen even where the documents are not at hand.

// driver (or R and the branch, where no driver is published) -> the releases that name it.
var wantToolkits = map[string]string{
	"346.46": "7.0.28", "352.31": "7.5.16", "367.48": "8.0.44", "375.26": "8.0.61", "384.81": "9.0.176",
	"387.26": "9.1.85", "396.26": "9.2.88", "396.37": "9.2.148", "410.48": "10.0.130", "418.39": "10.1.105", "440.33": "10.2.89",
	"450.36.06": "11.0.1", "450.51.05": "11.0.2", "450.51.06": "11.0.3",
	"455.23": "11.1.0", "455.32": "11.1.1",
	"460.27.03": "11.2.0", "460.32.03": "11.2.1 11.2.2",
	"465.19.01": "11.3.0 11.3.1",
	"470.42.01": "11.4.0", "470.57.02": "11.4.1 11.4.2", "470.82.01": "11.4.3 11.4.4",
	"495.29.05": "11.5.0 11.5.1 11.5.2",
	"510.39.01": "11.6.0", "510.47.03": "11.6.1 11.6.2",
	"515.43.04": "11.7.0", "515.48.07": "11.7.1",
	"520.61.05": "11.8.0",
	"525.60.13": "12.0.0", "525.85.12": "12.0.1",
	"530.30.02": "12.1.0 12.1.1",
	"535.54.03": "12.2.0", "535.86.09": "12.2.1", "535.104.05": "12.2.2",
	"545.23.06": "12.3.0", "545.23.08": "12.3.1 12.3.2",
	"550.54.14": "12.4.0", "550.54.15": "12.4.1",
	"555.42.02": "12.5.0", "555.42.06": "12.5.1",
	"560.28.03": "12.6.0", "560.35.03": "12.6.1 12.6.2", "560.35.05": "12.6.3",
	"570.26": "12.8.0", "570.124.06": "12.8.1", "570.211.01": "12.8.2",
	"575.51.03": "12.9.0", "575.57.08": "12.9.1 12.9.2",
	"580.65.06": "13.0.0", "580.82.07": "13.0.1", "580.95.05": "13.0.2", "580.126.20": "13.0.3",
	"590.44.01": "13.1.0", "590.48.01": "13.1.1 13.1.2",
	"595.45.04": "13.2.0", "595.58.03": "13.2.1", "595.71.05": "13.2.2",
	"610.43.02": "13.3.0 13.3.1", "R615": "13.4.0 13.4.1 13.4.2", "R620": "13.5.0",
}

// CUDA -> the branches that bring it.
var wantBranches = map[string]string{
	"8.0": "367 375", "9.0": "384", "9.1": "387 390", "9.2": "396", "10.0": "410", "10.1": "418", "10.2": "440",
	"11.0": "450", "11.1": "455", "11.2": "460", "11.3": "465", "11.4": "470", "11.5": "495", "11.6": "510", "11.7": "515", "11.8": "520",
	"12.0": "525", "12.1": "530", "12.2": "535", "12.3": "545", "12.4": "550", "12.5": "555", "12.6": "560", "12.7": "565", "12.8": "570", "12.9": "575",
	"13.0": "580", "13.1": "590", "13.2": "595", "13.3": "610", "13.4": "615", "13.5": "620",
}

// driver -> the major that it serves by minor-version compatibility.
var wantMinor = map[string]string{"450.80.02": "11", "525.60.13": "12", "580.65.06": "13"}

// kind and support -> branch:released..end of life/number of the newest driver.
var wantLifecycle = map[string]string{
	"LTSB supported": "580:2025-08-04..2028-06/178.04",
	"LTSB ended": "535:2023-06-14..2026-06/309.01 470:2021-07-19..2024-07-20/256.02 " +
		"450:2020-06-24..2023-07/248.02 418:2019-01-30..2022-03/197.02",
	"PB supported": "595:2026-03-24..2027-03/91.07",
	"PB ended": "570:2025-01-27..2026-01-27/211.01 550:2024-02-23..2025-04-17/163.01 525:2022-11-10..2023-12-01/147.05 " +
		"515:2022-05-11..2023-05-01/105.01 510:2022-01-14..2023-01-01/108.03 460:2021-01-07..2022-01/106.00",
	"NFB supported": "615:2026-09../71.10",
	"NFB disputed":  "590:2025-12-22..2026-12-22/48.01",
	"NFB ended": "610:2026-08-03..2026-08/57.04 575:2025-06-03..2026-06-03/57.08 560:2024-08-22..2025-08-22/35.03 " +
		"555:2024-06-04..2025-06-01/58.02 545:2023-10-31..2024-10-01/29.06 530:2023-03-23..2023-06-24/41.03 " +
		"520:2022-10-12..2023-10-01/56.06 495:2021-10-26..2022-10-12/46 465:2021-04-19..2022-04-19/ 440:..2020-11/",
	"PB/NFB ended":    "565:2024-10-29..2025-10-01/57.01",
	"legacy ended":    "390:2018-01-04..2022-11-22/157",
	"developer ended": "455:../",
	"- supported":     "620:2026-11-04../70.06",
}

// The matrix of the documentation and what two libraries say of themselves: C yes, N native, X no package.
const wantForwardColumns = "535 550 560 565 570 575 580 590 595 610 615"

var wantForward = map[string]string{
	"FWD/13.4": "C...C.CCCCN", "FWD/13.3": "C...C.CCCNX", "FWD/13.2": "C...C.CCNXX", "FWD/13.1": "C...C.CNXXX",
	"FWD/13.0": "C...C.NXXXX", "FWD/12.9": "C...C.XXXXX", "FWD/12.8": "C...N.XXXXX", "FWD/12.6": "C...X.XXXXX",
	"FWD/12.5": "C...X.XXXXX", "FWD/12.4": "C...X.XXXXX", "FWD/12.3": "C...X.XXXXX", "FWD/12.2": "N...X.XXXXX",
	"ELF/13.1": "CC..CCCN...", "ELF/12.9": "CCCCCN.....",
}

// name and CUDA range -> compute capability:first branch..last branch.
var wantArch = map[string]string{
	"Fermi ..8.0":               "2.0:..390 2.1:..390",
	"Kepler ..10.2":             "3.0:..470 3.2:..470",
	"Kepler 6.0..11.8":          "3.5:..470 3.7:..470",
	"Maxwell 6.5..12.9":         "5.0:..580 5.2:..580 5.3:..580",
	"Pascal 8.0..12.9":          "6.0:375..580 6.1:375..580 6.2:..580",
	"Volta 9.0..12.9":           "7.0:384..580",
	"Volta 9.1..12.9":           "7.2:..580",
	"Turing 10.0..now":          "7.5:410..",
	"Ampere 11.0..now":          "8.0:450.. 8.6:450..",
	"Ampere 11.4..now":          "8.7:..",
	"Ampere-class 13.0..now":    "8.8:..",
	"Ada 11.8..now":             "8.9:520..",
	"Hopper 11.8..now":          "9.0:520..",
	"Blackwell 12.8..now":       "10.0:570.. 12.0:570..",
	"Blackwell 12.8..":          "10.1:..",
	"Blackwell Ultra 12.9..now": "10.3:575..",
	"Rubin 13.4..now":           "10.7:615..",
	"Blackwell 13.0..now":       "11.0:580..",
	"Blackwell 12.9..now":       "12.1:575..",
}

var wantBrands = map[string]string{"yes": "tesla nvidia", "no": "geforce geforcertx titan titanrtx"}

// generation -> systems | where the manager runs | first branch | switch ids.
var wantFabric = map[string]string{
	"1":     "DGX-2 and HGX-2 (V100) | node | 450 | 1ac2",
	"2":     "HGX A100 and A800 | node | 450 | 1ae8 1af0-1aff",
	"3":     "HGX H100, H800, H200 and H20 | node | 525 | 22a0-22a7",
	"4":     "HGX B100, B200 and B300 | node | 570 | -",
	"NVL72": "GB200 and GB300 NVL72 | tray | - | -",
}

// generation and name -> PCI device ids.
var wantGPUs = map[string]string{
	"2/A100 SXM4 40GB": "20b0", "2/A100 SXM4 80GB": "20b2", "3/H100 SXM5": "2330", "-/H100 PCIe": "2331", "3/H200 SXM": "2335",
	"-/H200 NVL": "233b", "4/B200": "2901", "4/B300 SXM6 AC": "3182", "NVL72/GB300": "31c2 31c3", "-/GH200": "2342 2348",
}

// compute capability -> PCI device ids.
var wantChips = map[string]string{
	"3.0":  "0fc0-0fff 1180-11fc",
	"3.5":  "1001-102a 102e-103f 1280-12ba",
	"3.7":  "102d",
	"5.0":  "1340-13bd 174d-179c",
	"5.2":  "13c0-1436 1617-1667 17c2-17fd",
	"6.0":  "15f0-15f9 1725-172f",
	"6.1":  "1b00-1d56",
	"7.0":  "1d81-1df6",
	"7.5":  "1e02-1ff9 2182-21d1",
	"8.0":  "2080-20ff",
	"8.6":  "2200-223f 2414-25fb",
	"9.0":  "2300-237f",
	"8.9":  "2681-28ff",
	"10.0": "2900-297f",
	"12.0": "2b80-2c7f 2d00-2d7f 2f00-2f7f",
	"12.1": "2e00-2e7f",
	"10.3": "3180-31ff",
}

// "driver API name, runtime name: text" -> code.
var wantErrors = map[string]string{
	"CUDA_ERROR_NOT_INITIALIZED, cudaErrorInitializationError: initialization error":                                                          "3",
	"CUDA_ERROR_STUB_LIBRARY, cudaErrorStubLibrary: CUDA driver is a stub library":                                                            "34",
	"-, cudaErrorInsufficientDriver: CUDA driver version is insufficient for CUDA runtime version":                                            "35",
	"CUDA_ERROR_CALL_REQUIRES_NEWER_DRIVER, cudaErrorCallRequiresNewerDriver: API call is not supported in the installed CUDA driver":         "36",
	"CUDA_ERROR_DEVICE_UNAVAILABLE, cudaErrorDevicesUnavailable: CUDA-capable device(s) is/are busy or unavailable":                           "46",
	"CUDA_ERROR_NO_DEVICE, cudaErrorNoDevice: no CUDA-capable device is detected":                                                             "100",
	"CUDA_ERROR_INVALID_DEVICE, cudaErrorInvalidDevice: invalid device ordinal":                                                               "101",
	"CUDA_ERROR_NO_BINARY_FOR_GPU, cudaErrorNoKernelImageForDevice: no kernel image is available for execution on the device":                 "209",
	"CUDA_ERROR_ECC_UNCORRECTABLE, cudaErrorECCUncorrectable: uncorrectable ECC error encountered":                                            "214",
	"CUDA_ERROR_NOT_PERMITTED, cudaErrorNotPermitted: operation not permitted":                                                                "800",
	"CUDA_ERROR_UNSUPPORTED_PTX_VERSION, cudaErrorUnsupportedPtxVersion: the provided PTX was compiled with an unsupported toolchain.":        "222",
	"CUDA_ERROR_OPERATING_SYSTEM, cudaErrorOperatingSystem: OS call failed or operation not supported on this OS":                             "304",
	"CUDA_ERROR_SYSTEM_NOT_READY, cudaErrorSystemNotReady: system not yet initialized":                                                        "802",
	"CUDA_ERROR_SYSTEM_DRIVER_MISMATCH, cudaErrorSystemDriverMismatch: system has unsupported display driver / cuda driver combination":       "803",
	"CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE, cudaErrorCompatNotSupportedOnDevice: forward compatibility was attempted on non supported HW": "804",
	"CUDA_ERROR_UNKNOWN, cudaErrorUnknown: unknown error":                                                                                     "999",
}

// title (version or date) -> key.
var wantSources = map[string]string{
	"CUDA Toolkit 13.4 Update 1 release notes, CUDA driver tables (13.4.2)":                                                    "RN134U1",
	"CUDA Toolkit 13.4 release notes (13.4.1)":                                                                                 "RN134",
	"CUDA Toolkit 13.0 to 13.3 release notes, as quoted in public files":                                                       "RN13x",
	"CUDA 9.x release notes, a copy of the driver table (2018)":                                                                "RN91GIST",
	"file names of the CUDA local installers, driver number included (up to 13.4.1)":                                           "CATALOG",
	"spack/spack-packages, cuda/package.py (0cd1d4663)":                                                                        "SPACK",
	"NVIDIA driver redistrib JSON, 615.71.10 and 620.70.06 (2026-11-04)":                                                       "REDIST",
	"Amazon Linux 2023 GPU AMI release notes (20260928)":                                                                       "AL2023",
	"CUDA Compatibility, minor-version compatibility (615 edition, September 2026)":                                            "MVC",
	"CUDA Compatibility, forward compatibility (615 edition, September 2026)":                                                  "FWD",
	".note.cuda.fwd_compatibility of 575.57.08 and 590.44.01, NVIDIA/nvidia-container-toolkit testdata (d34b3046, 2026-08-21)": "ELF",
	"nvidia/container-images/cuda, brands of NVIDIA_REQUIRE_CUDA (60a1c892, 2025-08-18)":                                       "IMGS",
	"NVIDIA CUDA and Drivers Support RN-08625-001_v02 (March 2021)":                                                            "DRVPDF21",
	"Data Center Drivers 615, supported drivers and CUDA toolkit versions (2026-09-09)":                                        "DRV615",
	"endoflife-date/endoflife.date, products/nvidia-driver.md (a70eca33, 2026-08-22)":                                          "EOLD",
	"Data Center Drivers, CUDA toolkit, driver and architecture matrix (615 edition, 2026-09)":                                 "ARCHM",
	"LLVM clang/lib/Basic/Cuda.cpp (026c6392)":                                                                                 "LLVM",
	"gcc-patches msg419655, nvptx -march-map sm_107 and sm_110 (2026)":                                                         "GCC107",
	"NVIDIA, CUDA GPUs and their compute capability":                                                                           "CCTABLE",
	"Fabric Manager for NVIDIA NVSwitch Systems, user guide (2026)":                                                            "FMUG",
	"pciutils/pciids, pci.ids (c1c12547, 2026-08-22)":                                                                          "PCI",
	"pciutils/pciids, pci.ids as Debian 12 packages it (2023-04-11)":                                                           "PCI23",
	"lspci of reported hosts, testdata/hosts":                                                                                  "HOSTS",
	"NVIDIA/open-gpu-kernel-modules, NVSwitch device ids":                                                                      "OGKM",
	"NVIDIA/gpu-driver-container (06a208ca, 2026-08-17)":                                                                       "GPUDC",
	"CUDA Driver and Runtime API, error enumerations and texts, as public bindings print them":                                 "CUERR",
	"recalled, seen in no source":                                                                                              "RECALL",
}
