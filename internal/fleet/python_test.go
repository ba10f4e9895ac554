package fleet

import (
	"math"
	"math/bits"
)

// python is Python's random.Random after seed(n), so that the port can be compared
// with the original figure by figure: the Mersenne Twister MT19937.
type python struct {
	state [624]uint32
	i     int
}

func newPython(seed uint32) *python {
	p := &python{i: 624}
	s := &p.state
	s[0] = 19650218
	for i := uint32(1); i < 624; i++ {
		s[i] = 1812433253*(s[i-1]^s[i-1]>>30) + i
	}
	i := uint32(1)
	next := func() {
		if i++; i >= 624 {
			s[0] = s[623]
			i = 1
		}
	}
	for range 624 {
		s[i] = (s[i] ^ (s[i-1]^s[i-1]>>30)*1664525) + seed
		next()
	}
	for range 623 {
		s[i] = (s[i] ^ (s[i-1]^s[i-1]>>30)*1566083941) - i
		next()
	}
	s[0] = 1 << 31
	return p
}

func (p *python) uint32() uint32 {
	if p.i == 624 {
		s := &p.state
		for k := range s {
			y := s[k]&(1<<31) | s[(k+1)%624]&(1<<31-1)
			s[k] = s[(k+397)%624] ^ y>>1 ^ y&1*0x9908b0df
		}
		p.i = 0
	}
	y := p.state[p.i]
	p.i++
	y ^= y >> 11
	y ^= y << 7 & 0x9d2c5680
	y ^= y << 15 & 0xefc60000
	return y ^ y>>18
}

// Float64 is random.random.
func (p *python) Float64() float64 {
	a, b := p.uint32()>>5, p.uint32()>>6
	return (float64(a)*(1<<26) + float64(b)) / (1 << 53)
}

func (p *python) below(n int) int {
	k := bits.Len(uint(n))
	for {
		if r := int(p.uint32() >> (32 - k)); r < n {
			return r
		}
	}
}

// Sample is random.sample of the numbers below n.
func (p *python) Sample(n, k int) []int {
	result, size := make([]int, k), 21.0
	if k > 5 {
		size += math.Pow(4, math.Ceil(math.Log(float64(k*3))/math.Log(4)))
	}
	if float64(n) > size {
		panic("a sample of so many is not needed")
	}
	pool := make([]int, n)
	for i := range pool {
		pool[i] = i
	}
	for i := range result {
		j := p.below(n - i)
		result[i] = pool[j]
		pool[j] = pool[n-i-1]
	}
	return result
}
