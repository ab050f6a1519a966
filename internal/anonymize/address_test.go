package anonymize_test

import (
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/tcptrace/tcptrace/internal/anonymize"
)

// classes are the ranges that an address neither leaves nor comes into.
var classes = []string{
	"0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/4", "240.0.0.0/4",
	"::ffff:0:0/96", "::/8", "fe80::/64", "fe80::/10", "fec0::/10", "fe00::/8", "ff00::/8",
}

// class is the range that has an address, or "4" or "6" of an ordinary one.
func class(a netip.Addr) string {
	for _, c := range classes {
		if netip.MustParsePrefix(c).Contains(a) {
			return c
		}
	}
	if a.Is4() {
		return "4"
	}
	return "6"
}

func ordinary(a netip.Addr) bool { return class(a) == "4" || class(a) == "6" }

// anyOrdinary returns an ordinary address of the family of all.
func anyOrdinary(r *rand.Rand, all string) netip.Addr {
	for {
		if a := inside(r, all); ordinary(a) {
			return a
		}
	}
}

// eights returns an address of each block of 8 bits of a family.
func eights(r *rand.Rand, all string) []netip.Addr {
	var list []netip.Addr
	for first := range 256 {
		bytes := inside(r, all).AsSlice()
		bytes[0] = byte(first)
		a, _ := netip.AddrFromSlice(bytes)
		list = append(list, a)
	}
	return list
}

func TestAddressesThatStay(t *testing.T) {
	t.Parallel()
	m := anonymize.New(referenceKey)
	for _, text := range []string{
		"0.0.0.0", "127.0.0.1", "127.0.0.53", "127.255.255.255", "255.255.255.255", "::", "::1",
		"::ffff:0.0.0.0", "::ffff:127.0.0.1",
	} {
		if a := netip.MustParseAddr(text); m.Addr(a) != a {
			t.Errorf("%v maps to %v", a, m.Addr(a))
		}
	}
	if got := m.Addr(netip.MustParseAddr("::%eth0")); got != netip.IPv6Unspecified() {
		t.Errorf(":: with a zone maps to %v", got)
	}
	if got := m.Addr(netip.Addr{}); got.IsValid() {
		t.Errorf("the zero address maps to %v", got)
	}
	invalid := netip.AddrPortFrom(netip.Addr{}, 80)
	if got := m.AddrPort(invalid); got != invalid {
		t.Errorf("a port without an address maps to %v", got)
	}
}

// Who keeps a key maps later files as the earlier ones: the mapping must not change from
// one version to the next. The images are of another implementation of AES.
func TestMappingDoesNotChange(t *testing.T) {
	t.Parallel()
	m := anonymize.New(referenceKey)
	for original, want := range map[string]string{
		"128.11.68.132":    "135.242.180.132",
		"10.9.8.7":         "117.6.251.248",
		"192.102.249.13":   "204.204.216.128", // the second image, after one of 240.0.0.0/4
		"64.14.118.196":    "120.124.73.65",   // the second, after one of 0.0.0.0/8
		"0.1.2.3":          "0.254.253.243",
		"239.1.2.3":        "224.193.2.0",
		"240.1.2.3":        "240.49.1.140",
		"::ffff:10.9.8.7":  "::ffff:117.6.251.248",
		"2001:db8::1":      "4401:2bc:603f:d91d:27f:ff8e:e6f1:dc1e",
		"4000::1":          "7870:fc6d:602b:de07:818d:467d:18fb:20d5", // the second, after one of ::/8
		"64:ff9b::808:808": "97:79f:e03f:c5c3:8270:ff81:18f9:c91f",
		"fe80::1:2":        "fe80::70:b18e:f7f2:e2ff",
		"fe81::1:2":        "febe:f001:9ffc:3e1c:1d8f:1ff1:e906:c0ee",
		"fec0::1":          "feff:f380:7fc0:4dd:0:4070:907:30e",
		"ff02::1":          "ff02:fc0c:1fff:dffe:ff8f:de7f:10f9:3f01",
	} {
		if got := m.Addr(netip.MustParseAddr(original)); got != netip.MustParseAddr(want) {
			t.Errorf("%s maps to %v, want %s", original, got, want)
		}
	}
	if got, want := m.AddrPort(netip.MustParseAddrPort("128.11.68.132:443")), netip.MustParseAddrPort("135.242.180.132:443"); got != want {
		t.Errorf("an address with a port maps to %v, want %v", got, want)
	}
}

func TestAddressesKeepTheirClass(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(2, 2))
	m := anonymize.New(anyKey(r))
	for _, prefix := range append(classes, "0.0.0.0/0", "::/0", "fe80::/16") {
		for range 2000 {
			a := inside(r, prefix)
			image := m.Addr(a)
			if class(image) != class(a) || image.IsUnspecified() != a.IsUnspecified() || image.IsLoopback() != a.IsLoopback() ||
				image.Is4() != a.Is4() || image.Is4In6() != a.Is4In6() ||
				image.IsMulticast() != a.IsMulticast() || !a.Unmap().Is4() && image.IsLinkLocalUnicast() != a.IsLinkLocalUnicast() {
				t.Fatalf("%v of %s maps to %v of %s", a, class(a), image, class(image))
			}
		}
	}
}

// Ordinary addresses whose raw image is in a special range go on to the first one that
// is not.
func TestNoAddressLandsInASpecialBlock(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 3))
	landed := make(map[string]int)
	for range 20 {
		m := anonymize.New(anyKey(r))
		for _, a := range append(eights(r, "0.0.0.0/0"), eights(r, "::/0")...) {
			if !ordinary(a) {
				continue
			}
			want := m.Raw(a, 0)
			for ; !ordinary(want); want = m.Raw(want, 0) {
				landed[class(want)]++
			}
			if got := m.Addr(a); got != want {
				t.Errorf("%v maps to %v, want %v", a, got, want)
			}
		}
	}
	for _, c := range []string{"0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/4", "240.0.0.0/4", "::/8", "ff00::/8"} {
		if landed[c] == 0 {
			t.Errorf("no address would have landed in %s: this tests nothing", c)
		}
	}
}

// before returns the address of the same first bits whose raw image is a.
func before(m *anonymize.Mapper, a netip.Addr, keep int) netip.Addr {
	bytes := a.AsSlice()
	guess := func() netip.Addr { g, _ := netip.AddrFromSlice(bytes); return g }
	for i := keep; i < a.BitLen(); i++ {
		if shared(m.Raw(guess(), keep), a) == i {
			bytes[i/8] ^= 0x80 >> (i % 8)
		}
	}
	return guess()
}

// Of the addresses that must not be met, the one whose raw image that would be goes on.
func TestNoAddressLandsOnOneThatStays(t *testing.T) {
	t.Parallel()
	m := anonymize.New(referenceKey)
	for _, tc := range []struct {
		taken string
		keep  int // bits that are kept in its class
	}{
		{"0.0.0.0", 8}, {"255.255.255.255", 4}, {"::", 8}, {"::1", 8}, {"::ffff:1.2.3.4", 8}, {"fe80::1", 10},
	} {
		taken := netip.MustParseAddr(tc.taken)
		a := before(m, taken, tc.keep)
		if m.Raw(a, tc.keep) != taken || class(a) == "::ffff:0:0/96" || class(a) == "fe80::/64" {
			t.Fatalf("%v does not come before %v", a, taken)
		}
		if got, want := m.Addr(a), m.Raw(taken, tc.keep); got != want {
			t.Errorf("%v maps to %v, want %v", a, got, want)
		}
	}
}

func TestPrefixesAreKept(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(4, 4))
	m := anonymize.New(anyKey(r))
	check := func(a, b netip.Addr) {
		t.Helper()
		if imageA, imageB := m.Addr(a), m.Addr(b); shared(imageA, imageB) != shared(a, b) {
			t.Fatalf("%v and %v share %d bits, their images %v and %v %d", a, b, shared(a, b), imageA, imageB, shared(imageA, imageB))
		}
	}
	for range 5000 {
		for _, all := range []string{"0.0.0.0/0", "::/0"} {
			a := anyOrdinary(r, all)
			check(a, near(r, a, 8+r.IntN(a.BitLen()-8)))
		}
		a := inside(r, "fe80::/64")
		check(a, near(r, a, 64+r.IntN(64)))
		a = inside(r, "ff02::/16")
		check(a, near(r, a, 16+r.IntN(112)))
		a = inside(r, "239.0.0.0/8")
		check(a, near(r, a, 8+r.IntN(24)))
	}
}

// All networks of 16 bits: no two ordinary ones map to the same.
func TestNetworksStayDistinct(t *testing.T) {
	t.Parallel()
	m := anonymize.New(referenceKey)
	for _, network := range []func(byte, byte) netip.Addr{
		func(a, b byte) netip.Addr { return netip.AddrFrom4([4]byte{a, b, 1, 1}) },
		func(a, b byte) netip.Addr { return netip.AddrFrom16([16]byte{a, b, 15: 1}) },
	} {
		from := make(map[netip.Prefix]netip.Addr)
		for n := range 1 << 16 {
			a := network(byte(n>>8), byte(n))
			if !ordinary(a) {
				continue
			}
			image, _ := m.Addr(a).Prefix(16)
			if other, ok := from[image]; ok {
				t.Fatalf("%v and %v map to %v", a, other, image)
			}
			from[image] = a
		}
	}
}

func TestAddressesStayDistinct(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(5, 5))
	m := anonymize.New(anyKey(r))
	from := make(map[netip.Addr]netip.Addr)
	for _, prefix := range append(classes, "0.0.0.0/0", "::/0", "0.0.0.0/24", "::/112", "10.0.0.0/20", "255.255.255.0/24", "fe80::/112") {
		for range 3000 {
			a := inside(r, prefix)
			image := m.Addr(a)
			if other, ok := from[image]; ok && other != a {
				t.Fatalf("%v and %v map to %v", a, other, image)
			}
			from[image] = a
		}
	}
}

func TestZonesAreDropped(t *testing.T) {
	t.Parallel()
	m := anonymize.New(referenceKey)
	want := m.Addr(netip.MustParseAddr("fe80::1:2"))
	if got := m.Addr(netip.MustParseAddr("fe80::1:2%secret0")); got != want || got.Zone() != "" {
		t.Errorf("with a zone it maps to %v, without to %v", got, want)
	}
}

func TestTheKeyDecides(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(6, 6))
	key := anyKey(r)
	m, same, other := anonymize.New(key), anonymize.New(key), anonymize.New(anyKey(r))
	differ := 0
	for range 1000 {
		for _, all := range []string{"0.0.0.0/0", "::/0"} {
			a := inside(r, all)
			if m.Addr(a) != same.Addr(a) {
				t.Fatalf("%v maps to %v and to %v under one key", a, m.Addr(a), same.Addr(a))
			}
			if m.Addr(a) != other.Addr(a) {
				differ++
			}
		}
	}
	if differ < 1900 {
		t.Errorf("only %d of 2000 addresses map to something else under another key", differ)
	}
}

func TestPrefixHasWhatItHad(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(7, 7))
	for range 20 {
		m := anonymize.New(anyKey(r))
		for range 100 {
			for _, all := range []string{"0.0.0.0/0", "::/0"} {
				a := anyOrdinary(r, all)
				p := netip.PrefixFrom(a, r.IntN(a.BitLen()+1)) // not masked
				image, bits := m.Prefix(p), p.Bits()
				for _, part := range eights(r, all) {
					if p.Contains(part) {
						bits = min(bits, shared(m.Addr(a), m.Addr(part)))
					}
				}
				switch {
				case image != image.Masked() || !image.Contains(m.Addr(a)):
					t.Fatalf("%v maps to %v, and %v in it to %v", p, image, a, m.Addr(a))
				case image.Bits() != bits:
					t.Fatalf("%v maps to %v, want %d bits", p, image, bits)
				case bits >= 8 && image.Contains(m.Addr(near(r, a, r.IntN(bits)))):
					t.Fatalf("%v maps to %v, which has more", p, image)
				}
			}
		}
	}
}

func TestPrefixes(t *testing.T) {
	t.Parallel()
	m := anonymize.New(referenceKey)
	for original, want := range map[string]string{
		"0.0.0.0/0":              "0.0.0.0/0",
		"::/0":                   "::/0",
		"127.0.0.0/8":            "127.0.0.0/8",
		"127.0.0.1/32":           "127.0.0.1/32",
		"::1/128":                "::1/128",
		"fe80::/10":              "fe80::/10",
		"fe80::/64":              "fe80::/64",
		"224.0.0.0/4":            "224.0.0.0/4",
		"128.11.68.132/32":       "135.242.180.132/32",
		"128.11.68.132/24":       "135.242.180.0/24",
		"::ffff:128.11.68.0/120": "::ffff:135.242.180.0/120",
		"2001:db8::/32":          "4401:2bc::/32",
	} {
		if got := m.Prefix(netip.MustParsePrefix(original)); got.String() != want {
			t.Errorf("%s maps to %v, want %s", original, got, want)
		}
	}
	if got := m.Prefix(netip.Prefix{}); got != (netip.Prefix{}) {
		t.Errorf("the zero prefix maps to %v", got)
	}
}

// An IPv4 prefix in the form of IPv6 maps as the IPv4 prefix.
func TestPrefixesOfMappedForm(t *testing.T) {
	t.Parallel()
	m := anonymize.New(referenceKey)
	a := netip.MustParseAddr("64.14.118.196") // one that goes on, unlike others that share 2 bits
	for bits := range 33 {
		want := m.Prefix(netip.PrefixFrom(a, bits))
		got := m.Prefix(netip.PrefixFrom(netip.AddrFrom16(a.As16()), 96+bits))
		if got.Addr().Unmap() != want.Addr() || got.Bits() != want.Bits()+96 || !got.Addr().Is4In6() {
			t.Errorf("%d bits map to %v, of IPv4 to %v", bits, got, want)
		}
	}
}
