package anonymize_test

import (
	"encoding/hex"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"github.com/tcptrace/tcptrace/internal/anonymize"
)

// referenceKey is that of the sample trace in the Crypto-PAn distribution.
var referenceKey = anonymize.Key{
	21, 34, 23, 141, 51, 164, 207, 128, 19, 10, 91, 22, 73, 144, 125, 16,
	216, 152, 143, 131, 121, 121, 101, 39, 98, 87, 76, 45, 42, 132, 34, 2,
}

// vectors are published pairs of an address and its image under a key.
var vectors = []struct{ source, key, pairs string }{
	{"sample_trace_raw.dat and sample_trace_sanitized.dat of the Crypto-PAn distribution", referenceKey.String(), `
		128.11.68.132 135.242.180.132
		129.118.74.4 134.136.186.123
		130.132.252.244 133.68.164.234
		141.223.7.43 141.167.8.160
		141.233.145.108 141.129.237.235
		152.163.225.39 151.140.114.167
		156.29.3.236 147.225.12.42
		165.247.96.84 162.9.99.234
		166.107.77.190 160.132.178.185
		192.102.249.13 252.138.62.131
		192.215.32.125 252.43.47.189
		192.233.80.103 252.25.108.8
		192.41.57.43 252.222.221.184
		193.150.244.223 253.169.52.216
		195.205.63.100 255.186.223.5
		198.200.171.101 249.199.68.213
		198.26.132.101 249.36.123.202
		198.36.213.5 249.7.21.132
		198.51.77.238 249.18.186.254
		199.217.79.101 248.38.184.213
		202.49.198.20 245.206.7.234
		203.12.160.252 244.248.163.4
		204.184.162.189 243.192.77.90
		204.202.136.230 243.178.4.198
		204.29.20.4 243.33.20.123
		205.178.38.67 242.108.198.51
		205.188.147.153 242.96.16.101
		205.188.248.25 242.96.88.27
		205.245.121.43 242.21.121.163
		207.105.49.5 241.118.205.138
		207.135.65.238 241.202.129.222
		207.155.9.214 241.220.250.22
		207.188.7.45 241.255.249.220
		207.25.71.27 241.33.119.156
		207.33.151.131 241.1.233.131
		208.147.89.59 227.237.98.191
		208.234.120.210 227.154.67.17
		208.28.185.184 227.39.94.90
		208.52.56.122 227.8.63.165
		209.12.231.7 226.243.167.8
		209.238.72.3 226.6.119.243
		209.246.74.109 226.22.124.76
		209.68.60.238 226.184.220.233
		209.85.249.6 226.170.70.6
		212.120.124.31 228.135.163.231
		212.146.8.236 228.19.4.234
		212.186.227.154 228.59.98.98
		212.204.172.118 228.71.195.169
		212.206.130.201 228.69.242.193
		216.148.237.145 235.84.194.111
		216.157.30.252 235.89.31.26
		216.184.159.48 235.96.225.78
		216.227.10.221 235.28.253.36
		216.254.18.172 235.7.16.162
		216.32.132.250 235.192.139.38
		216.35.217.178 235.195.157.81
		24.0.250.221 100.15.198.226
		24.13.62.231 100.2.192.247
		24.14.213.138 100.1.42.141
		24.5.0.80 100.9.15.210
		24.7.198.88 100.10.6.25
		24.94.26.44 100.88.228.35
		38.15.67.68 64.3.66.187
		4.3.88.225 124.60.155.63
		63.14.55.111 95.9.215.7
		63.195.241.44 95.179.238.44
		63.97.7.140 95.97.9.123
		64.14.118.196 0.255.183.58
		64.34.154.117 0.221.154.117
		64.39.15.238 0.219.7.41`},
	{"github.com/Yawning/cryptopan, IPv6", referenceKey.String(), `
		::1 78ff:f001:9fc0:20df:8380:b1f1:704:ed
		::2 78ff:f001:9fc0:20df:8380:b1f1:704:ef
		::ffff 78ff:f001:9fc0:20df:8380:b1f1:704:f838
		2001:db8::1 4401:2bc:603f:d91d:27f:ff8e:e6f1:dc1e
		2001:db8::2 4401:2bc:603f:d91d:27f:ff8e:e6f1:dc1c`},
	{"github.com/UniStuttgart-VISUS/Sappan.CryptoPAn and IP::Anonymous", referenceKey.String(), `
		129.69.205.36 134.182.53.212
		129.69.215.37 134.182.41.43
		127.0.0.1 33.0.243.129
		0.0.0.0 120.255.240.1
		10.0.1.128 117.15.1.129
		169.254.100.50 169.251.68.45
		255.255.255.255 206.120.97.255`},
	{"github.com/schoenw/libanon", "d1c056a983786a38ca76a05cda240c7b86d7713693544000a0e6c4dd5b3dabdd", `
		1.2.3.4 236.157.211.10
		1.1.1.1 236.159.20.242
		0.0.0.0 237.113.211.225
		255.255.255.254 0.0.127.6
		255.255.255.255 0.0.127.7
		112.28.3.2 136.126.15.210
		220.201.45.30 61.17.221.254
		31d6:1be5:41bd:663c:3e9e:1005:1eec:6f01 cc29:fb1a:b9fd:613c:e68:a03b:1efd:961f
		17a3:638e:1942:258e:c87:4416:5298:4071 f7a3:94a6:da41:21f1:8fa6:bbe9:aa59:c001
		bba:3c9d:5b3a:21de:2cf8:6578:2ae7:779f e7bd:c302:a5f5:d85e:3308:768:2570:fa5f
		fffe:638:709:861::3 1:ce05:ee9:971:7f1f:1f8:ec7:c05b
		ffff:638:709:861::1 0:e9f8:3928:f76e:3f:3fc6:135:ffa6
		2001:638:709:861::1 d0f1:f603:8e9:98c:3f5f:1f9:ffcf:bf9f
		2001:638:709:4::4 d0f1:f603:8e9:6cb:803f:3e39:f134:3fbb`},
	{"github.com/keiichishima/yacryptopan, IP::Anonymous and github.com/pwood/cryptopan", "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", `
		192.0.2.1 2.90.93.17
		165.254.100.50 90.1.157.13
		148.88.133.200 106.38.131.223
		2001:db8::1 dd92:2c44:3fc0:ff1e:7ff9:c7f0:8180:7e00`},
	{"github.com/keiichishima/yacryptopan, contrib", "8009ab3a605435bea0c385bea18485d8b0a1103d6590bdf48c968be5de53836e", `
		123.123.123.123 117.8.135.123
		8.8.8.8 55.21.62.136
		2a02:db8:85a3:8d3:1319:8a2e:370:7344 1482:f447:75b3:f904:c1d9:ba2e:489:1346
		::ffff:192.0.2.128 3883:b073:ff0f:fff8:203f:7c8:617:fd01
		fc00:: f33c:8ca3:ef0f:e019:e7ff:f1e3:f91f:f800`},
}

func TestPublishedVectors(t *testing.T) {
	t.Parallel()
	for _, set := range vectors {
		key, err := anonymize.ParseKey([]byte(set.key))
		if err != nil {
			t.Fatal(err)
		}
		m := anonymize.New(key)
		words := strings.Fields(set.pairs)
		for i := 0; i < len(words); i += 2 {
			original, want := netip.MustParseAddr(words[i]), netip.MustParseAddr(words[i+1])
			if got := m.Raw(original, 0); got != want {
				t.Errorf("%s: %v maps to %v, want %v", set.source, original, got, want)
			}
		}
	}
}

// anyKey returns a key, the same ones in each run.
func anyKey(r *rand.Rand) anonymize.Key {
	var key anonymize.Key
	for i := range key {
		key[i] = byte(r.Uint32())
	}
	return key
}

// shared is how many leading bits two addresses of a family have in common.
func shared(a, b netip.Addr) int {
	n := 0
	for n < a.BitLen() && netip.PrefixFrom(a, n+1).Contains(b) {
		n++
	}
	return n
}

// near returns an address that shares exactly n bits with a.
func near(r *rand.Rand, a netip.Addr, n int) netip.Addr {
	bytes := a.AsSlice()
	for i := n; i < len(bytes)*8; i++ {
		if bit := byte(0x80) >> (i % 8); i == n || r.IntN(2) == 1 {
			bytes[i/8] ^= bit
		}
	}
	other, _ := netip.AddrFromSlice(bytes)
	return other
}

// inside returns any address of a prefix.
func inside(r *rand.Rand, prefix string) netip.Addr {
	p := netip.MustParsePrefix(prefix)
	bytes := p.Addr().AsSlice()
	for i := p.Bits(); i < len(bytes)*8; i++ {
		bytes[i/8] |= byte(r.IntN(2)) << (7 - i%8)
	}
	a, _ := netip.AddrFromSlice(bytes)
	return a
}

func TestRawKeepsPrefixesExactly(t *testing.T) {
	t.Parallel()
	m, r := anonymize.New(referenceKey), rand.New(rand.NewPCG(1, 1))
	for range 3000 {
		for _, a := range []netip.Addr{inside(r, "0.0.0.0/0"), inside(r, "::/0")} {
			n, keep := r.IntN(a.BitLen()), r.IntN(a.BitLen()/2)
			b := near(r, a, n)
			imageA, imageB := m.Raw(a, keep), m.Raw(b, keep)
			if got := shared(imageA, imageB); got != n {
				t.Fatalf("%v and %v share %d bits, their images %v and %v %d", a, b, n, imageA, imageB, got)
			}
			if got := shared(a, imageA); got < keep {
				t.Fatalf("%v maps to %v, which keeps %d bits, want %d", a, imageA, got, keep)
			}
		}
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	digits := referenceKey.String()
	if want := "1522178d33a4cf80130a5b1649907d10d8988f837979652762574c2d2a842202"; digits != want {
		t.Errorf("the key is stored as %q, want %q", digits, want)
	}
	for _, stored := range []string{string(referenceKey[:]), digits, strings.ToUpper(digits), " \t" + digits + "\r\n"} {
		if key, err := anonymize.ParseKey([]byte(stored)); err != nil || key != referenceKey {
			t.Errorf("%q is read as %v, %v", stored, key, err)
		}
	}
	for _, tc := range []struct{ stored, want string }{
		{"", "key has 0 bytes"},
		{"\n", "key has 1 bytes"},
		{digits[1:], "key has 63 bytes"},
		{digits + "00", "key has 66 bytes"},
		{digits[:31], "key has 31 bytes"},
		{string(referenceKey[:]) + "\n", "key has 33 bytes"},
		{digits[1:] + "x", "no hexadecimal digits"},
		{digits[:32] + " " + digits[:31], "no hexadecimal digits"},
	} {
		key, err := anonymize.ParseKey([]byte(tc.stored))
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%q: error %v, want one with %q", tc.stored, err, tc.want)
			continue
		}
		if key != (anonymize.Key{}) {
			t.Errorf("%q: key %v with an error", tc.stored, key)
		}
		if len(tc.stored) > 8 && strings.Contains(err.Error(), tc.stored[8:16]) {
			t.Errorf("the error quotes the secret: %v", err)
		}
	}
}

func TestNewKeysDiffer(t *testing.T) {
	t.Parallel()
	a, b := anonymize.NewKey(), anonymize.NewKey()
	if a == b || a == (anonymize.Key{}) {
		t.Errorf("new keys %v and %v", a, b)
	}
	if decoded, err := hex.DecodeString(a.String()); err != nil || anonymize.Key(decoded) != a {
		t.Errorf("%v is stored as %q", a[:], a.String())
	}
}
