package fleet

// op is something that happens, more often by its weight.
type op struct {
	weight float64
	do     func(m *Model)
}

var allOps = []op{
	{3, func(m *Model) { m.start() }},
	{2, func(m *Model) { m.die(m.pick()) }},
	{2, func(m *Model) { m.endGracefully(m.pick()) }},
	{4, func(m *Model) { m.replace(1) }},
	{1, func(m *Model) { m.replace(2 + m.below(4)) }},
	{2, func(m *Model) { m.hang(m.pick()) }},
	{3, func(m *Model) { m.cut() }},
	{2, func(m *Model) { m.fail() }},
	{4, func(m *Model) { m.setLoad(m.load * m.between(0.3, 2.5)) }},
	{0.3, func(m *Model) { m.setLoad(0) }},
	{1, func(m *Model) { m.reject() }},
	{0.6, func(m *Model) { m.stop(true) }},
	{0.4, func(m *Model) { m.stop(false) }},
	{0.5, func(m *Model) { m.noB = !m.noB; m.logf("new pods without b: %v", m.noB) }},
}

func (m *Model) operate() {
	total := 0.0
	for _, o := range m.ops {
		total += o.weight
	}
	x := m.between(0, total)
	for _, o := range m.ops {
		if x -= o.weight; x < 0 {
			o.do(m)
			return
		}
	}
}

func (m *Model) add(gateway bool) *Sender {
	s := &Sender{
		ID: m.born, Gateway: gateway, NoB: m.noB, Born: m.Now, Gone: never, vanished: never, rejected: -never, refused: -never, silent: -never,
		weight: m.between(0.5, 1.5), Capacity: m.between(5, 50), next: m.Now + m.between(0, m.Interval),
	}
	m.born++
	m.Senders = append(m.Senders, s)
	return s
}

func (m *Model) start() {
	if m.count() < 16 {
		m.logf("%v starts", m.add(false))
	}
}

func (m *Model) count() int {
	n := 0
	for _, s := range m.Senders {
		if s.exists() {
			n++
		}
	}
	return n
}

// pick returns a sender that exists, or nil.
func (m *Model) pick() *Sender {
	if n := m.count(); n > 0 {
		n = m.below(n)
		for _, s := range m.Senders {
			if s.exists() {
				if n == 0 {
					return s
				}
				n--
			}
		}
	}
	return nil
}

func (m *Model) die(s *Sender) {
	if s == nil {
		return
	}
	m.logf("%v dies", s)
	m.remove(s)
}

func (m *Model) remove(s *Sender) {
	s.Gone = m.Now
	if s.Gateway {
		m.add(true) // its Deployment sees to that
	}
	m.vanish(s)
}

func (m *Model) vanish(s *Sender) {
	if s.vanished == never {
		s.vanished = m.Now
	}
	s.Serves = false
}

func (m *Model) endGracefully(s *Sender) {
	if s == nil {
		return
	}
	m.logf("%v ends", s)
	m.mark(s)
	m.remove(s)
}

// mark has the product get markers for a sender's series.
func (m *Model) mark(s *Sender) {
	if _, ended, ok := s.last(); m.Down || m.Now < s.silent || !ok || ended {
		return
	}
	m.product.End(s)
	s.stored = append(s.stored, push{at: m.Now, marker: true})
}

func (m *Model) replace(n int) {
	for range n {
		s := m.pick()
		if s == nil || s.Gateway {
			return
		}
		m.die(s)
		m.start()
	}
}

func (m *Model) hang(s *Sender) {
	if s == nil {
		return
	}
	if s.hung {
		s.hung = false
		s.next = max(s.next, m.Now)
		m.logf("%v works again", s)
		return
	}
	s.hung = true
	m.vanish(s)
	m.logf("%v hangs", s)
}

// cut cuts senders off, which go on serving, and lets them come back one by one.
func (m *Model) cut() {
	share, first := m.Float64(), m.between(5, 160)
	last := first + m.between(0, 60)
	for _, s := range m.Senders {
		if s.exists() && s.Serves && m.Float64() < share {
			s.silent = m.Now + m.between(first, last)
			s.next = s.silent
			m.logf("%v is cut off until %.2f", s, s.silent)
		}
	}
}

func (m *Model) fail() {
	if s := m.pick(); s != nil {
		s.failing = []int{1, 1, 1, 2, 5}[m.below(5)]
		m.logf("%d scrapes of %v fail", s.failing, s)
	}
}

func (m *Model) setLoad(v float64) {
	if m.load == 0 {
		v = m.between(5, 200)
	}
	m.load = min(v, 1000)
	m.queue = m.load * m.between(0, 0.5)
	m.logf("load %.4g, queue %.4g", m.load, m.queue)
}

func (m *Model) reject() {
	if m.Down {
		return
	}
	m.full = m.Now + m.between(10, 150)
	m.product.SetFull(true)
	m.logf("new series are rejected until %.2f", m.full)
}

// stop ends the process.
func (m *Model) stop(restore bool) {
	if m.Down {
		return
	}
	if m.below(2) == 0 {
		m.product.Snapshot() // an orderly stop
	}
	m.Down, m.restore = true, restore
	m.up = m.Now + []float64{1, 5, 20, 60, 150}[m.below(5)]*m.between(0.5, 1)
	m.full = 0
	m.logf("the scaler stops until %.2f", m.up)
}
