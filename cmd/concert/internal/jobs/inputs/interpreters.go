package inputs

import (
	"slices"
	"strings"
)

// interpreter finds the script in the words of a command, such as the word
// after sh -c. It is needed because an input in a script would be run as code.
type interpreter struct {
	runner  bool   // whether the command runs the program in its arguments
	name    string // the name of the interpreter; "" if there is none
	options string // the letters of its options before a script
	option  string // the option that was found; the next word is the script
}

// program begins a command.
func (i *interpreter) program(word string) {
	runner := i.runner || slices.Contains(wrappers, base(word)) || slices.Contains(runners, base(word))
	*i = interpreter{runner: runner}
	i.find(word)
}

func (i *interpreter) find(word string) {
	if options := scriptOptions[strings.TrimRight(base(word), "0123456789.")]; options != "" {
		i.name, i.options = word, options
	}
}

// argument adds an argument of the command.
func (i *interpreter) argument(word string) {
	switch {
	case i.option != "" && word != "" && word[0] == '-':
	case i.option != "":
		i.option = ""
	case i.isOption(word):
		i.option = word
	case i.runner:
		i.find(word)
	}
}

// isOption reports whether the word is an option before a script. The script
// is the next word, or begins within this word.
func (i *interpreter) isOption(word string) bool {
	if len(word) < 2 || word[0] != '-' || i.name == "" {
		return false
	}
	at := strings.IndexAny(word, i.options)
	return at > 0 && strings.IndexFunc(word[1:at], isNoFlag) < 0
}

// isNoFlag reports whether a letter is not a flag. A flag is an option of an
// interpreter that has no value.
func isNoFlag(r rune) bool { return !strings.ContainsRune("abcdefhilnpstuvwxBESTUWX0", r) }

// where returns a text for errors that describes the script which contains the
// current word. It returns "" if the word is in no script. The parameter text
// is the beginning of the word.
func (i *interpreter) where(text string) string {
	option := i.option
	if option == "" && i.isOption(text) {
		option = text
	}
	if option == "" {
		return ""
	}
	return "in the script of " + i.name + " " + option
}

var (
	// scriptOptions lists the options after which programs get a script. A
	// number at the end of a name is a version.
	scriptOptions = map[string]string{
		"sh": "c", "bash": "c", "dash": "c", "zsh": "c", "ksh": "c", "ash": "c", "fish": "c", "su": "c",
		"python": "c", "pypy": "c", "perl": "eE", "ruby": "e", "node": "ep", "php": "r", "lua": "e", "Rscript": "e",
	}

	// wrappers lists programs that run the program in their first argument.
	wrappers = []string{"exec", "command", "builtin", "env", "nice", "nohup", "time", "sudo", "setsid", "xargs"}

	// runners lists programs that run the program in a later argument.
	runners = []string{
		"busybox", "chroot", "chrt", "doas", "docker", "find", "flock", "ionice", "nsenter", "parallel", "podman", "prlimit", "runuser",
		"setpriv", "ssh", "stdbuf", "strace", "systemd-run", "taskset", "timeout", "unshare", "watch",
	}
)
