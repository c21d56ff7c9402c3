package cli

import (
	"fmt"
	"strings"
)

// manualFlag makes "concert help COMMAND" print the manual page.
const manualFlag = "--man"

// manualOf returns the command whose manual page the arguments of help request.
func manualOf(args []string) (name string, ok bool) {
	switch {
	case len(args) != 2:
		return "", false
	case args[0] == manualFlag:
		return args[1], true
	}
	return args[0], args[1] == manualFlag
}

// manual returns the manual page of a command in the language of man(7). The
// page has the text and the flags of the help.
func (c *Command) manual() string {
	var b strings.Builder
	title := "concert-" + c.Name
	fmt.Fprintf(&b, ".TH %s 1 \"\" concert\n.SH NAME\n%s \\- %s\n", strings.ToUpper(title), roff(title), roff(c.Summary))
	section, text, listed := "DESCRIPTION", false, false
	for i, block := range strings.Split(strings.TrimSpace(c.Help), "\n\n") {
		first, rest, _ := strings.Cut(block, "\n")
		switch usage, isUsage := strings.CutPrefix(first, "Usage: "); {
		case i == 0 && isUsage:
			b.WriteString(".SH SYNOPSIS\n.nf\n")
			for _, line := range append([]string{usage}, strings.Split(rest, "\n")...) {
				if line = strings.TrimSpace(line); line != "" {
					b.WriteString(roff(line) + "\n")
				}
			}
			b.WriteString(".fi\n")
			continue
		case first == strings.TrimSpace(flagsLine):
			b.WriteString(c.manualFlags())
			section, text, listed = "NOTES", false, true
			block = rest
		case strings.HasSuffix(first, ":") && !strings.HasPrefix(first, " ") && strings.HasPrefix(rest, "  "):
			fmt.Fprintf(&b, ".SH %s\n", roff(strings.ToUpper(strings.TrimSuffix(first, ":"))))
			text, block = true, rest
		}
		if block == "" {
			continue
		}
		if !text {
			fmt.Fprintf(&b, ".SH %s\n", section)
			text = true
		} else if !strings.HasPrefix(block, " ") {
			b.WriteString(".PP\n")
		}
		if strings.HasPrefix(block, " ") {
			b.WriteString(".PP\n.nf\n" + roff(block) + "\n.fi\n")
		} else {
			b.WriteString(roff(block) + "\n")
		}
	}
	if !listed {
		b.WriteString(c.manualFlags())
	}
	return b.String()
}

// manualFlags returns the section of the flags.
func (c *Command) manualFlags() string {
	var b strings.Builder
	b.WriteString(".SH OPTIONS\n")
	group := ""
	for _, f := range append(c.allFlags()[1:], declared{name: "-h", about: "print the help"}) {
		if f.group != group && f.group != "" {
			group = f.group
			fmt.Fprintf(&b, ".SS %s\n", roff(group))
		}
		fmt.Fprintf(&b, ".TP\n\\fB%s\\fR", roff(f.name))
		if f.value != "" {
			fmt.Fprintf(&b, " \\fI%s\\fR", roff(f.value))
		}
		fmt.Fprintf(&b, "\n%s\n", roff(f.about))
	}
	return b.String()
}

// roff escapes a text: a hyphen must not become a typographic one, and a line
// must not begin with a control character.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(s)
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
			lines[i] = `\&` + line
		}
	}
	return strings.Join(lines, "\n")
}
