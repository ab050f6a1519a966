package cli

import (
	"encoding/binary"
	"os"
	"strings"
	"time"

	"github.com/tcptrace/tcptrace/internal/words"
)

// useZone makes times those of the zone in TZ, if that says its rule itself, as in CET-1CEST,M3.5.0,M10.5.0/3
// (POSIX 8.3). Go takes such a zone for UTC. It warns if it does not know the zone either.
func (app *app) useZone() {
	name := strings.TrimPrefix(os.Getenv("TZ"), ":")
	if name == "" || name == "UTC" || time.Local.String() != "UTC" {
		return
	}
	if _, err := time.LoadLocation(name); err == nil {
		return // another name for UTC
	}
	if zone, ok := parseZone(name); ok {
		time.Local = zone
		return
	}
	app.log.Warn("the time zone in TZ is unknown, times are in UTC: " + words.Escape(name))
}

// unruled is the name of times for which a zone has no rule.
const unruled = "?"

// parseZone makes a zone of its rule.
func parseZone(rule string) (*time.Location, bool) {
	if strings.Contains(rule, "\n") { // it would end the rule
		return nil, false
	}
	zone, err := time.LoadLocationFromTZData(rule, zoneFile(rule))
	if err != nil {
		return nil, false
	}
	name, _ := time.Now().In(zone).Zone()
	return zone, name != unruled
}

// zoneFile is a file with the rule of a zone, and nothing else (RFC 9636, version 2): one change in the
// farthest past, behind which the rule holds.
func zoneFile(rule string) []byte {
	const farthestPast = -1 << 59
	header := append([]byte("TZif2"), make([]byte, 15)...)
	counts := func(b []byte, changes, types, letters uint32) []byte {
		for _, n := range []uint32{0, 0, 0, changes, types, letters} {
			b = binary.BigEndian.AppendUint32(b, n)
		}
		return b
	}
	file := counts(append([]byte(nil), header...), 0, 0, 0) // what version 1 would have
	file = counts(append(file, header...), 1, 1, uint32(len(unruled)+1))
	past := int64(farthestPast)
	file = binary.BigEndian.AppendUint64(file, uint64(past))
	file = append(file, 0)                // the change is to type 0
	file = append(file, 0, 0, 0, 0, 0, 0) // which is UTC, no daylight saving time, and has the first name
	file = append(append(file, unruled...), 0)
	return append(file, "\n"+rule+"\n"...)
}
