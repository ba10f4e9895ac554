package otlpreceiver

// dropReason is why an attribute is not stored, as /metrics names it.
type dropReason uint8

const (
	emptyKey    dropReason = iota // OTLP forbids it
	unusableKey                   // nothing is left of it that a label's name may have
	dropReasons
)

var dropReasonNames = [dropReasons]string{"empty_key", "unusable_key"}

// String returns the reason as /metrics names it.
func (r dropReason) String() string { return dropReasonNames[r] }

// dropped counts the attributes of a point or resource that are not stored.
type dropped struct {
	count [dropReasons]int64
	first error // what the sender reads; nil if there are none
}

func (d *dropped) add(key string, err error) {
	why := unusableKey
	if key == "" {
		why = emptyKey
	}
	d.count[why]++
	if d.first == nil {
		d.first = err
	}
}
