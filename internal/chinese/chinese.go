// Package chinese has the messages of tcptrace in Chinese, for people. Keys, flags, states and JSON stay English.
package chinese

import "github.com/tcptrace/tcptrace/internal/event"

// Translate returns the Chinese format for an English one, or "" if there is none.
func Translate(f event.Format) event.Format { return catalog[f] }

// Len is how many formats have a Chinese one.
func Len() int { return len(catalog) }
