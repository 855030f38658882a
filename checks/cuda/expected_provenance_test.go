package cuda

// wantProvenance is the confidence and the sources of every row, by table: "confidence sources" -> row keys.
var wantProvenance = map[string]map[string]string{
	"toolkits": {
		"third-party REDIST":       "13.5.0",
		"confirmed RN134U1 AL2023": "13.4.2",
		"confirmed RN134 CATALOG":  "13.4.1",
		"third-party CATALOG":      "13.4.0",
		"confirmed RN13x CATALOG":  "13.3.1 13.3.0 13.2.1 13.2.0 13.1.1 13.1.0 13.0.2 13.0.1 13.0.0",
		"derived CATALOG":          "13.2.2 13.1.2 13.0.3 12.9.2 12.8.2",
		"confirmed RN134U1 CATALOG": "12.9.1 12.9.0 12.8.1 12.6.3 12.6.2 12.6.1 12.6.0 12.5.1 12.5.0 12.4.1 12.4.0 12.3.1 " +
			"12.3.0 12.2.2 12.2.0 12.1.1 12.1.0 12.0.1 12.0.0",
		"confirmed RN134U1 SPACK CATALOG": "12.8.0 12.2.1",
		"derived SPACK CATALOG":           "12.3.2",
		"confirmed RN134U1": "11.8.0 11.7.0 11.6.2 11.6.1 11.6.0 11.5.2 11.5.1 11.5.0 11.4.4 11.4.3 11.4.2 11.4.1 " +
			"11.4.0 11.3.1 11.3.0 11.2.2 11.2.1 11.0.3 11.0.2 11.0.1 10.0.130 9.2.148 9.2.88 9.0.176 " +
			"8.0.61 8.0.44 7.5.16 7.0.28",
		"confirmed RN134U1 SPACK":         "11.7.1 11.2.0 11.1.1 11.1.0 10.2.89 10.1.105",
		"conflict RN134U1 SPACK RN91GIST": "9.1.85",
	},
	"branches": {
		"derived RN134U1":       "367 375 384 390 396 410 460 465 470 495 510 515 520 525 530 545 550 555 560",
		"derived RN91GIST":      "387",
		"confirmed DRVPDF21":    "418 440 450 455",
		"confirmed FWD":         "535 570 580 595 610 615",
		"third-party RECALL":    "565",
		"confirmed RN134U1 ELF": "575",
		"confirmed FWD ELF":     "590",
		"third-party REDIST":    "620",
	},
	"lifecycle": {
		"third-party REDIST":        "620",
		"third-party REDIST AL2023": "615",
		"conflict EOLD DRV615":      "610",
		"confirmed EOLD DRV615":     "595 580 535",
		"conflict EOLD":             "590",
		"confirmed EOLD":            "575 570 565 560 555 550 545 530 525 520 515 510 495 470 465 390",
		"confirmed EOLD DRVPDF21":   "460 450 418",
		"confirmed DRVPDF21":        "455 440",
	},
	"arch": {
		"confirmed ARCHM LLVM":              "2.0 3.0 3.2 3.5 3.7 6.0 6.1 7.0 7.5 8.0",
		"confirmed LLVM":                    "2.1",
		"confirmed ARCHM":                   "5.0 5.2 5.3",
		"derived LLVM":                      "6.2 7.2",
		"conflict ARCHM LLVM":               "8.6",
		"confirmed LLVM CCTABLE":            "8.7 10.3 12.1",
		"third-party LLVM":                  "8.8",
		"confirmed ARCHM LLVM CCTABLE":      "8.9 9.0 12.0",
		"confirmed ARCHM LLVM FMUG CCTABLE": "10.0",
		"confirmed LLVM GCC107":             "10.1",
		"third-party GCC107":                "10.7",
		"confirmed LLVM CCTABLE GCC107":     "11.0",
	},
	"minor": {
		"derived MVC RN134U1":   "13",
		"confirmed MVC RN134U1": "11 12",
	},
	"forward": {
		"confirmed FWD": "FWD/13.4 FWD/13.3 FWD/13.2 FWD/13.1 FWD/13.0 FWD/12.9 FWD/12.8 FWD/12.6 FWD/12.5 FWD/12.4 " +
			"FWD/12.3 FWD/12.2",
		"confirmed ELF": "ELF/13.1 ELF/12.9",
	},
	"brands": {
		"confirmed FWD ELF": "tesla",
		"derived FWD ELF":   "nvidia",
		"conflict FWD IMGS": "geforce geforcertx",
		"derived FWD IMGS":  "titan titanrtx",
	},
	"fabric": {
		"third-party FMUG":        "1",
		"confirmed FMUG PCI OGKM": "2 3",
		"confirmed FMUG":          "4 NVL72",
	},
	"gpus": {
		"confirmed PCI OGKM GPUDC": "20b0 20b2 2330 2331 2335 233b 2342 2348 2901 3182 31c2 31c3",
	},
	"chips": {
		"confirmed PCI23":    "0fc0-0fff 1001-102a 102d 102e-103f 1180-11fc 1280-12ba 1340-13bd 13c0-1436 15f0-15f9 1617-1667 1725-172f 174d-179c 17c2-17fd 1b00-1d56 1d81-1df6 1e02-1ff9 2182-21d1 2200-223f 2414-25fb",
		"derived PCI23 OGKM": "2080-20ff 2300-237f 2681-28ff",
		"derived OGKM HOSTS": "2900-297f",
		"derived HOSTS":      "2b80-2c7f 2d00-2d7f 2e00-2e7f",
		"recalled RECALL":    "2f00-2f7f",
		"derived PCI OGKM":   "3180-31ff",
	},
	"errors": {
		"confirmed CUERR":   "34 222 802 804",
		"third-party CUERR": "3 35 36 46 100 101 209 214 304 800 803 999",
	},
}
