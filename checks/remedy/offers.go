package remedy

// Offers tells whether the local package lists offer a package. known is false where they could not be read, or hold
// nothing of the driver's at all, as after an installation without network.
func (h Host) Offers(name string) (offers, known bool) {
	available := h.facts.Stack.Available
	_, offers = h.offered(name, "")
	return offers, available.Known() && len(available.Value) > 0
}
