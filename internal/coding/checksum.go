package coding

import "hash/crc32"

// The CRC-32 of a and b together is crc(a)·x^(8·len(b)) + crc(b), as polynomials over GF(2),
// modulo the CRC's. The highest bit is the coefficient of x^0.

// one is the polynomial 1.
const one = uint32(1) << 31

// multiply returns a·b.
func multiply(a, b uint32) (product uint32) {
	for bit := one; a != 0; bit >>= 1 {
		if a&bit != 0 {
			product ^= b
			a ^= bit
		}
		b = b>>1 ^ crc32.IEEE&-(b&1)
	}
	return product
}

// powers are x^8, x^16, x^32 and so on.
var powers = func() (p [60]uint32) {
	p[0] = one >> 8
	for i := range p[1:] {
		p[i+1] = multiply(p[i], p[i])
	}
	return p
}()

// power returns x^(8n).
func power(n int64) uint32 {
	product := one
	for i := 0; n > 0; i++ {
		if n&1 != 0 {
			product = multiply(product, powers[i])
		}
		n >>= 1
	}
	return product
}
