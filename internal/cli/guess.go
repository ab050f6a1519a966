package cli

import "strings"

// closestWord returns the word that was probably meant by a mistyped one: that with the fewest letters to change, or
// one that begins with it. It returns "" if none is close.
func closestWord(typed string, words []string) string {
	const mostChanges = 2
	best, least := "", mostChanges+1
	typed = strings.ToLower(typed)
	for _, word := range words {
		changes := changesBetween(typed, word)
		if changes > mostChanges && len(typed) > 2 && strings.HasPrefix(word, typed) {
			changes = mostChanges
		}
		if changes < least && changes < len(word) {
			best, least = word, changes
		}
	}
	return best
}

// longestTyped is up to which length words are compared.
const longestTyped = 64

// changesBetween is how many letters must be added, left out or replaced to make one word of another one.
func changesBetween(a, b string) int {
	if len(a) > longestTyped || len(b) > longestTyped {
		return longestTyped
	}
	row := make([]int, len(b)+1) // for the letters of a so far
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
