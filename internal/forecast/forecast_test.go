package forecast_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/tcptrace/tcptrace/internal/forecast"
)

// poisson has connections come by chance, at a rate.
func poisson(rate float64) func(*rand.Rand, float64) float64 {
	return func(r *rand.Rand, at float64) float64 { return at + r.ExpFloat64()/rate }
}

// varying has connections come by chance, at a rate that changes and never exceeds a limit.
func varying(limit float64, rate func(at float64) float64) func(*rand.Rand, float64) float64 {
	return func(r *rand.Rand, at float64) float64 {
		for {
			at += r.ExpFloat64() / limit
			if r.Float64()*limit < rate(at) {
				return at
			}
		}
	}
}

// bursts is how a rate comes and goes: so many times the mean for a part of each period, and nothing between.
func bursts(period, part float64) func(at float64) float64 {
	return func(at float64) float64 {
		if math.Mod(at, period) < period*part {
			return 1 / part
		}
		return 0
	}
}

func fixed(seconds float64) func(*rand.Rand) float64 {
	return func(*rand.Rand) float64 { return seconds }
}

func exponential(mean float64) func(*rand.Rand) float64 {
	return func(r *rand.Rand) float64 { return r.ExpFloat64() * mean }
}

var leaked = fixed(math.Inf(1))

// between returns a number between two, each scale as probable as the other.
func between(r *rand.Rand, low, high float64) float64 {
	return low * math.Exp(r.Float64()*math.Log(high/low))
}

// manyPorts is a range as large as Linux has it, or smaller. With fewer ports, it is mostly chance when they run out.
func manyPorts(r *rand.Rand) float64 { return math.Floor(between(r, 2000, mostPorts)) }

// exhausting are the loads that run out, by the shape of their rate.
var exhausting = map[string][]func(r *rand.Rand) load{
	"steady": {
		func(r *rand.Rand) load {
			n, lasts := manyPorts(r), between(r, 90, 600)
			return load{name: "leak", ports: int(n), next: poisson(n / lasts), lasts: leaked}
		},
		func(r *rand.Rand) load {
			n, lasts := manyPorts(r), between(r, 90, 600)
			return load{name: "half leak, half TIME_WAIT", ports: int(n), next: poisson(n / (lasts/2 + 30)), lasts: func(r *rand.Rand) float64 {
				if r.IntN(2) == 0 {
					return math.Inf(1)
				}
				return 0.01
			}}
		},
		func(r *rand.Rand) load {
			n, open := manyPorts(r), between(r, 20, 120)
			return load{name: "connections of a fixed time", ports: int(n), next: poisson(n / (open + 55)), lasts: fixed(open)}
		},
		func(r *rand.Rand) load {
			n, open, use := manyPorts(r), between(r, 30, 120), between(r, 0.7, 0.85)
			return load{name: "connections of any time", ports: int(n), next: poisson(n / use / (open + 61)), lasts: exponential(open)}
		},
	},
	"rising": {
		func(r *rand.Rand) load {
			n, after := manyPorts(r), between(r, 90, 400)
			rise := n / 60 / (after - 30)
			return load{name: "short connections", ports: int(n), next: varying(rise*after*2, func(at float64) float64 { return rise * at }), lasts: exponential(0.05)}
		},
		func(r *rand.Rand) load {
			n, after := manyPorts(r), between(r, 120, 400)
			base := n / 61 * between(r, 0.2, 0.6)
			rise := (n - 60*base) / 60 / (after - 30)
			return load{name: "short connections, on a base", ports: int(n), next: varying(base+rise*after*2, func(at float64) float64 { return base + rise*at }), lasts: exponential(0.05)}
		},
		func(r *rand.Rand) load {
			n, after := manyPorts(r), between(r, 120, 400)
			rise := 2 * n / after / after
			return load{name: "leak", ports: int(n), next: varying(rise*after*2, func(at float64) float64 { return rise * at }), lasts: leaked}
		},
		func(r *rand.Rand) load {
			n, after, open := manyPorts(r), between(r, 150, 400), between(r, 1, 20)
			rise := n / (60 + open) / (after - 30 - open/2)
			return load{name: "connections of some seconds", ports: int(n), next: varying(rise*after*2, func(at float64) float64 { return rise * at }), lasts: exponential(open)}
		},
	},
	"bursty": {
		func(r *rand.Rand) load {
			n, lasts, burst := manyPorts(r), between(r, 90, 600), bursts(between(r, 2, 15), between(r, 0.05, 0.5))
			return load{name: "leak", ports: int(n), next: varying(n/lasts*20, func(at float64) float64 { return n / lasts * burst(at) }), lasts: leaked}
		},
		func(r *rand.Rand) load {
			n, after, burst := manyPorts(r), between(r, 120, 400), bursts(between(r, 2, 15), between(r, 0.05, 0.5))
			rise := n / 60 / (after - 30)
			return load{name: "short connections, more and more", ports: int(n), next: varying(rise*after*40, func(at float64) float64 { return rise * at * burst(at) }), lasts: exponential(0.05)}
		},
		func(r *rand.Rand) load {
			n, open, burst := manyPorts(r), between(r, 30, 120), bursts(between(r, 2, 15), between(r, 0.05, 0.5))
			rate := n / (open + 55)
			return load{name: "connections of a fixed time", ports: int(n), next: varying(rate*20, func(at float64) float64 { return rate * burst(at) }), lasts: fixed(open)}
		},
		func(r *rand.Rand) load {
			n, lasts := manyPorts(r), between(r, 90, 400)
			size := between(r, 2, n/40)
			rate := n / lasts / size
			left := 0
			return load{name: "leak, bursts by chance", ports: int(n), next: func(r *rand.Rand, at float64) float64 {
				if left--; left > 0 {
					return at + 0.001
				}
				left = int(size)
				return at + r.ExpFloat64()/rate
			}, lasts: leaked}
		},
	},
}

// A run by hand is of more loads.
var (
	seeds     = 6
	mostPorts = 6000.
)

func init() {
	if os.Getenv("TCPTRACE_TEST_FORECASTS") != "" {
		seeds, mostPorts = 60, 28232
	}
}

// TestHowGoodAForecastIs plays loads that run out, and asks 60s before the first connect() fails.
func TestHowGoodAForecastIs(t *testing.T) {
	t.Parallel()
	for shape, loads := range exhausting {
		t.Run(shape, func(t *testing.T) {
			t.Parallel()
			var all []float64
			for i, make := range loads {
				var errors []float64
				name := ""
				for seed := range uint64(seeds) {
					play := func(from float64) ([]said, float64) {
						k := newKernel(make(rand.New(rand.NewPCG(seed, uint64(i)))), seed)
						name = k.load.name
						all := k.run(1200, from)
						return all, k.failed
					}
					if _, failed := play(math.Inf(1)); failed > 62 {
						all, _ := play(failed - 62)
						errors = append(errors, errorAt(all, failed, time.Minute))
					}
				}
				t.Logf("%-35s %s", name, quartiles(errors))
				all = append(all, errors...)
			}
			t.Logf("%-35s %s", "all", quartiles(all))
			if m := median(all); m > 0.1 || len(all) < seeds*len(loads)*9/10 {
				t.Errorf("%d loads, median error %.1f%%, want at most 10%%", len(all), 100*m)
			}
		})
	}
}

// errorAt is how wrong the forecast is that was made so long before the first call failed, as a part of that time. No
// forecast at all is infinitely wrong.
func errorAt(all []said, failed float64, ahead time.Duration) float64 {
	for i := len(all) - 1; i >= 0; i-- {
		left := failed - all[i].at
		if left < ahead.Seconds() {
			continue
		}
		if left > ahead.Seconds()+2 || all[i].outlook.Kind != forecast.Ends {
			break
		}
		return math.Abs(all[i].outlook.After.Seconds()-left) / left
	}
	return math.Inf(1)
}

func median(of []float64) float64 { return quantile(of, 0.5) }

func quantile(of []float64, q float64) float64 {
	if len(of) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(of))
	return sorted[int(q*float64(len(sorted)-1)+0.5)]
}

func quartiles(errors []float64) string {
	return fmt.Sprintf("%4d loads: median error %5.1f%%, three quarters below %5.1f%%, nine tenths below %5.1f%%",
		len(errors), 100*median(errors), 100*quantile(errors, 0.75), 100*quantile(errors, 0.9))
}

// harmless are loads that never run out: the most that they need is a part of the ports.
var harmless = []func(r *rand.Rand, use float64) load{
	func(r *rand.Rand, use float64) load {
		n, open := manyPorts(r), between(r, 0.01, 90)
		return load{name: "steady, any time", ports: int(n), next: poisson(n * use / (open + 61)), lasts: exponential(open)}
	},
	func(r *rand.Rand, use float64) load {
		n, open := manyPorts(r), between(r, 0.01, 90)
		return load{name: "steady, a fixed time", ports: int(n), next: poisson(n * use / (open + 61)), lasts: fixed(open)}
	},
	func(r *rand.Rand, use float64) load {
		n, open := manyPorts(r), between(r, 5, 90)
		return load{name: "the server closes first", ports: int(n), next: poisson(n * use / open), lasts: exponential(open), peerCloses: 1}
	},
	func(r *rand.Rand, use float64) load {
		n, period := manyPorts(r), between(r, 2, 15)
		burst := bursts(period, between(r, 0.05, 0.5))
		rate := n * use / (61 + period)
		return load{name: "bursts", ports: int(n), next: varying(rate*20, func(at float64) float64 { return rate * burst(at) }), lasts: exponential(0.05)}
	},
	func(r *rand.Rand, use float64) load {
		n, rise := manyPorts(r), between(r, 30, 200)
		rate := n * use / 62
		return load{name: "rises, and stays", trends: true, ports: int(n), next: varying(rate, func(at float64) float64 { return rate * min(at/rise, 1) }), lasts: exponential(0.05)}
	},
	func(r *rand.Rand, use float64) load {
		n, step, low := manyPorts(r), between(r, 70, 250), between(r, 0.2, 0.8)
		rate := n * use / 62
		return load{name: "a step up", trends: true, ports: int(n), next: varying(rate, func(at float64) float64 {
			if at < step {
				return rate * low
			}
			return rate
		}), lasts: exponential(0.05)}
	},
	func(r *rand.Rand, use float64) load {
		n, period := manyPorts(r), between(r, 200, 900)
		rate := n * use / 62
		return load{name: "up and down", trends: true, changes: true, ports: int(n), next: varying(rate, func(at float64) float64 { return rate * (0.6 + 0.4*math.Sin(2*math.Pi*at/period)) }), lasts: exponential(0.05)}
	},
	func(r *rand.Rand, use float64) load {
		n, fill := manyPorts(r), between(r, 20, 200)
		came := 0
		return load{name: "a pool fills", trends: true, ports: int(n), next: func(r *rand.Rand, at float64) float64 {
			if came++; float64(came) > n*use {
				return math.Inf(1)
			}
			return at + r.ExpFloat64()*fill/n/use
		}, lasts: leaked}
	},
}

// TestNoAlarm plays loads that never run out. A rate that rises, and a pool that fills, look as if they went on: such an
// alarm must end.
func TestNoAlarm(t *testing.T) {
	t.Parallel()
	for i, make := range harmless {
		runs, alarms, failed := 0, 0, 0
		var k *kernel
		for seed := range uint64(seeds) {
			r := rand.New(rand.NewPCG(seed, uint64(i)))
			k = newKernel(make(r, 0.3+0.5*r.Float64()), seed)
			all := k.run(400, 0)
			runs++
			if k.failed > 0 {
				failed++
			}
			if slices.ContainsFunc(all, func(s said) bool { return s.alarm }) {
				alarms++
			}
			if all[len(all)-1].alarm && !k.load.changes {
				t.Errorf("%s, seed %d: the alarm goes on", k.load.name, seed)
			}
		}
		t.Logf("%-25s %d loads, %d with an alarm", k.load.name, runs, alarms)
		if failed > 0 || alarms > 0 && !k.load.trends {
			t.Errorf("%s: %d of %d loads ran out, %d had an alarm, want none", k.load.name, failed, runs, alarms)
		}
	}
}

// TestAlarm plays the loads that run out: most are warned of.
func TestAlarm(t *testing.T) {
	t.Parallel()
	for shape, loads := range exhausting {
		runs, alarms := 0, 0
		var before []float64
		for i, make := range loads {
			for seed := range uint64(seeds) / 2 {
				k := newKernel(make(rand.New(rand.NewPCG(seed, uint64(i)))), seed)
				all := k.run(700, 0)
				if k.failed == 0 {
					continue
				}
				runs++
				if n := slices.IndexFunc(all, func(s said) bool { return s.alarm }); n >= 0 {
					alarms++
					before = append(before, k.failed-all[n].at)
				}
			}
		}
		t.Logf("%s: %d of %d loads had an alarm, half of them %.0fs before the first call failed or sooner", shape, alarms, runs, median(before))
		if alarms*100 < runs*90 || runs == 0 {
			t.Errorf("%s: %d of %d loads had an alarm, want 90%%", shape, alarms, runs)
		}
	}
}
