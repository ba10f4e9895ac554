package store

// rhythm is what a sweep learns of the metrics' push intervals, and which series
// go by them for want of their own: when the one changes, the other's end does.
type rhythm struct {
	names []*metricName // those with a longest interval
	fresh []*Series     // watched series without an interval of their own
}

func (r *rhythm) noteLocked(ser *Series) {
	switch mn := ser.name; {
	case ser.interval == 0 && ser.watched != nil:
		r.fresh = append(r.fresh, ser)
	case ser.interval > mn.longest && !ser.silent:
		if mn.longest == 0 {
			r.names = append(r.names, mn)
		}
		mn.longest = ser.interval
	}
}

// settle makes the longest intervals the metrics', and adds the watches that it
// concerns to touched.
func (r *rhythm) settle(touched map[*Watch]struct{}) {
	changed := map[*metricName]struct{}{}
	for _, mn := range r.names {
		if mn.interval.Swap(mn.longest) != mn.longest {
			changed[mn] = struct{}{}
		}
		mn.longest = 0
	}
	for _, ser := range r.fresh {
		if _, ok := changed[ser.name]; !ok {
			continue
		}
		ser.mu.Lock()
		ser.silent = false // its end may lie ahead again, and is to be told then
		for _, w := range ser.watchesLocked() {
			touched[w] = struct{}{}
		}
		ser.mu.Unlock()
	}
}
