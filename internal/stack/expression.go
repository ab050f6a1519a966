package stack

// mostOperations is how many operations of an expression are run.
const mostOperations = 256

// deepestOperands is how many operands an expression may have at a time.
const deepestOperands = 32

// operands are those of an expression.
type operands struct {
	values []uint64
	failed bool
}

func (o *operands) push(value uint64) {
	if len(o.values) == deepestOperands {
		o.failed = true
		return
	}
	o.values = append(o.values, value)
}

func (o *operands) pop() uint64 {
	last := len(o.values) - 1
	if last < 0 {
		o.failed = true
		return 0
	}
	value := o.values[last]
	o.values = o.values[:last]
	return value
}

// compute runs an expression of call frame information (DWARF 5 section 2.5, as far as section 6.4.2 allows it): the
// operations that procedure linkage tables and the return from signal handlers use. The first operand is given.
func compute(expression []byte, s *frameState, first *uint64) (uint64, bool) {
	r, o := reader{data: expression}, operands{}
	if first != nil {
		o.push(*first)
	}
	for ran := 0; len(r.data) > 0; ran++ {
		if !o.operate(&r, s) || o.failed || r.failed || ran == mostOperations {
			return 0, false
		}
	}
	result := o.pop()
	return result, !o.failed
}

// operate runs one operation, and reports whether it is known.
func (o *operands) operate(r *reader, s *frameState) bool {
	code := r.byte()
	switch {
	case code >= 0x30 && code <= 0x4f: // DW_OP_lit0 to 31
		o.push(uint64(code - 0x30))
		return true
	case code >= 0x70 && code <= 0x8f: // DW_OP_breg0 to 31
		return o.pushRegister(s, uint64(code-0x70), r.sleb())
	}
	switch code {
	case 0x06: // DW_OP_deref
		value, ok := s.load(o.pop())
		o.push(value)
		return ok
	case 0x08: // DW_OP_const1u
		o.push(uint64(r.byte()))
	case 0x09: // DW_OP_const1s
		o.push(uint64(int64(int8(r.byte()))))
	case 0x0a: // DW_OP_const2u
		o.push(uint64(r.uint16()))
	case 0x0b: // DW_OP_const2s
		o.push(uint64(int64(int16(r.uint16()))))
	case 0x0c: // DW_OP_const4u
		o.push(uint64(r.uint32()))
	case 0x0d: // DW_OP_const4s
		o.push(uint64(int64(int32(r.uint32()))))
	case 0x10: // DW_OP_constu
		o.push(r.uleb())
	case 0x11: // DW_OP_consts
		o.push(uint64(r.sleb()))
	case 0x12: // DW_OP_dup
		value := o.pop()
		o.push(value)
		o.push(value)
	case 0x13: // DW_OP_drop
		o.pop()
	case 0x23: // DW_OP_plus_uconst
		o.push(o.pop() + r.uleb())
	case 0x92: // DW_OP_bregx
		return o.pushRegister(s, r.uleb(), r.sleb())
	default:
		return o.calculate(code)
	}
	return true
}

func (o *operands) pushRegister(s *frameState, register uint64, offset int64) bool {
	value, ok := s.get(register)
	o.push(value + uint64(offset))
	return ok
}

// calculate runs an operation of two operands.
func (o *operands) calculate(code byte) bool {
	b, a := o.pop(), o.pop()
	truth := func(is bool) uint64 {
		if is {
			return 1
		}
		return 0
	}
	switch code {
	case 0x1a: // DW_OP_and
		o.push(a & b)
	case 0x1c: // DW_OP_minus
		o.push(a - b)
	case 0x1e: // DW_OP_mul
		o.push(a * b)
	case 0x21: // DW_OP_or
		o.push(a | b)
	case 0x22: // DW_OP_plus
		o.push(a + b)
	case 0x24: // DW_OP_shl
		o.push(a << (b & 63))
	case 0x25: // DW_OP_shr
		o.push(a >> (b & 63))
	case 0x29: // DW_OP_eq
		o.push(truth(a == b))
	case 0x2a: // DW_OP_ge
		o.push(truth(int64(a) >= int64(b)))
	case 0x2b: // DW_OP_gt
		o.push(truth(int64(a) > int64(b)))
	case 0x2c: // DW_OP_le
		o.push(truth(int64(a) <= int64(b)))
	case 0x2d: // DW_OP_lt
		o.push(truth(int64(a) < int64(b)))
	case 0x2e: // DW_OP_ne
		o.push(truth(a != b))
	default:
		return false
	}
	return true
}
