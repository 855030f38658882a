package host

import (
	"strings"

	"gpu-preflight/checks/fact"
)

// secureBootVariable is the firmware's word (UEFI specification, global variables): four bytes of attributes, one
// byte of value.
const secureBootVariable = "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"

// secureBoot tells whether the firmware checks what boots. A host without EFI has no Secure Boot.
func (t tree) secureBoot() fact.Fact[bool] {
	data, err := t.read(secureBootVariable, 16)
	switch {
	case err == nil && len(data) == 5:
		return fact.Of(data[4] == 1, secureBootVariable)
	case err == nil:
		return fact.Missing[bool](secureBootVariable, "malformed")
	case !absent(err):
		return fact.Missing[bool](secureBootVariable, reason(err))
	}
	const efi = "/sys/firmware/efi"
	there, err := t.exists(efi + "/efivars")
	if err != nil || there {
		return fact.Missing[bool](secureBootVariable, "the firmware does not tell")
	}
	if sys, err := t.exists("/sys/firmware"); err != nil || !sys {
		return fact.Missing[bool]("/sys/firmware", "it is not there")
	}
	return fact.Of(false, efi)
}

// sigEnforce tells whether the kernel takes signed modules only: module.sig_enforce, or a lockdown, which Secure Boot
// brings on most distributions (kernel_lockdown(7)).
func (t tree) sigEnforce() fact.Fact[bool] {
	const param, lockdown = "/sys/module/module/parameters/sig_enforce", "/sys/kernel/security/lockdown"
	text, err := t.text(param)
	if err == nil && text == "Y" {
		return fact.Of(true, param)
	}
	mode, lockErr := t.text(lockdown)
	switch {
	case lockErr == nil && (strings.Contains(mode, "[integrity]") || strings.Contains(mode, "[confidentiality]")):
		return fact.Of(true, lockdown)
	case err == nil:
		return fact.Of(false, param)
	case lockErr == nil:
		return fact.Of(false, lockdown)
	}
	return fact.Missing[bool](param, reason(err))
}
