package otlpreceiver

import "unsafe"

// appendText appends the attributes of a number that readNumber took, if all are
// text, as they mostly are: then its labels need no pdata. They are parts of b.
// Whatever is odd is declined, since it is pdata's to say what that means.
func appendText(dst []attribute, b []byte) ([]attribute, bool) {
	for i := 0; i < len(b); {
		switch b[i] {
		case numberAttributes:
			from, to := span(b, i)
			a, ok := textAttribute(b[from:to])
			if !ok {
				return dst, false
			}
			dst = append(dst, a)
			i = to
		case numberFlags:
			_, i = uvarint(b, i+1)
		default:
			i += 9
		}
	}
	return dst, true
}

// textAttribute reads a key and a text, each there once, in either order.
func textAttribute(b []byte) (a attribute, ok bool) {
	var hasKey, hasValue bool
	for i := 0; i < len(b); {
		from, to := span(b, i)
		switch {
		case to == 0:
			return a, false
		case b[i] == keyValueKey && !hasKey:
			a.key, hasKey = viewOf(b[from:to]), true
		case b[i] == keyValueValue && !hasValue && from < to && plainText(b[from:to]):
			from, _ = span(b[:to], from)
			a.value, hasValue = viewOf(b[from:to]), true
		default:
			return a, false
		}
		i = to
	}
	return a, hasKey && hasValue
}

// viewOf returns bytes of the request as text, which is as short-lived as they are.
func viewOf(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) } //nolint:gosec // see above
