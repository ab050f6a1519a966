package words

import "time"

// The layouts of a time, with all digits that its second may have.
const (
	clockLayout = "15:04:05.000000000"
	dateLayout  = "2006-01-02 " + clockLayout
	mostDigits  = len("000000000")
)

// Clock writes the time of day in the time's zone, with so many digits of the second:
// 15:04:05, 15:04:05.123. Further digits are cut off, not rounded.
func Clock(t time.Time, digits int) string { return t.Format(cutLayout(clockLayout, digits)) }

// AppendClock appends what Clock writes.
func AppendClock(b []byte, t time.Time, digits int) []byte {
	return t.AppendFormat(b, cutLayout(clockLayout, digits))
}

// DateClock writes the date and the time of day: 2026-11-29 15:04:05.123.
func DateClock(t time.Time, digits int) string { return t.Format(cutLayout(dateLayout, digits)) }

// cutLayout returns a layout with so many digits of the second.
func cutLayout(layout string, digits int) string {
	if digits == 0 {
		digits = -1 // the point goes as well
	}
	return layout[:len(layout)-mostDigits+digits]
}

// AppendFraction appends the digits of a second that come behind the time of day without
// any: .123. It is for who writes many times of the same second.
func AppendFraction(b []byte, nanoseconds int64, digits int) []byte {
	if digits == 0 {
		return b
	}
	b = append(b, '.')
	for unit := int64(time.Second) / 10; digits > 0; digits, unit = digits-1, unit/10 {
		b = append(b, '0'+byte(nanoseconds/unit%10))
	}
	return b
}
