package cli

import (
	"os"
	"strings"

	"github.com/spf13/pflag"

	"github.com/tcptrace/tcptrace/internal/chinese"
	"github.com/tcptrace/tcptrace/internal/event"
)

// addLangFlag adds the flag for the language of text.
func addLangFlag(flags *pflag.FlagSet, lang *string) {
	flags.StringVar(lang, "lang", "", "print text in this `language`: en or zh (default that of the locale)")
}

// checkLang refuses a value of --lang that is not a language.
func checkLang(lang string) error {
	switch lang {
	case "", "en", "zh":
		return nil
	}
	return usagef("--lang: %q is not en or zh", lang)
}

// translation returns what translates text into a language, or into that of the locale if it is ""; nil: it stays
// English.
func translation(lang string) func(event.Format) event.Format {
	if lang == "zh" || lang == "" && isChineseLocale() {
		return chinese.Translate
	}
	return nil
}

// isChineseLocale reports whether messages are wanted in Chinese (locale(7)): the first of these variables counts
// that is not empty.
func isChineseLocale() bool {
	for _, key := range []string{"LC_ALL", "LC_MESSAGES", "LANG"} {
		if locale := os.Getenv(key); locale != "" {
			language, _, _ := strings.Cut(locale, "_")
			language, _, _ = strings.Cut(language, ".")
			return language == "zh"
		}
	}
	return false
}
