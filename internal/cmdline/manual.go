package cmdline

import (
	"fmt"
	"slices"
	"strings"
)

// ManualFlag is the flag with which "PROGRAM help COMMAND" prints the manual
// page.
const ManualFlag = "--man"

// ManualOf reports whether args, the arguments of the command help, ask for a
// manual page. It returns the name of the command, or "" for the page of the
// whole program.
func ManualOf(args []string) (name string, ok bool) {
	switch {
	case len(args) == 1:
		return "", args[0] == ManualFlag
	case len(args) != 2:
		return "", false
	case args[0] == ManualFlag:
		return args[1], true
	}
	return args[0], args[1] == ManualFlag
}

// Manual returns the manual page of a command in the language of man(7). The
// page has the text and the flags of the help. At its end, it refers to the
// commands in the parameter see.
func Manual(program string, c Command, see ...string) string {
	title := program
	if c.Name != "" {
		title += "-" + c.Name
	}
	p := &page{flags: c.allFlags()}
	fmt.Fprintf(p, ".TH %s 1 \"\" %s\n.SH NAME\n%s \\- %s\n", strings.ToUpper(title), program, roff(title), roff(c.Summary))
	blocks := strings.Split(strings.TrimSpace(c.Help), "\n\n")
	if i := slices.IndexFunc(blocks, isUsage); i >= 0 { // in the help of a program, the usage is not the first block
		p.synopsis(blocks[i])
		blocks = slices.Delete(blocks, i, i+1)
	}
	p.section = "DESCRIPTION"
	for _, block := range blocks {
		p.block(block)
	}
	if !p.listed && c.Name != "" {
		p.options()
	}
	if len(see) > 0 {
		fmt.Fprintf(p, ".SH SEE ALSO\n%s(1)\n", strings.Join(mapped(see, roff), "(1), "))
	}
	return p.String()
}

const usageMark = "Usage: "

func isUsage(block string) bool { return strings.HasPrefix(block, usageMark) }

// page is a manual page to which blocks of a help are added.
type page struct {
	strings.Builder
	flags   []Flag
	section string // heading that is written before the next text without its own heading, unless begun
	begun   bool   // whether a heading was written since section was set
	listed  bool   // whether the page has the flags
}

func (p *page) synopsis(block string) {
	p.WriteString(".SH SYNOPSIS\n.nf\n")
	for line := range strings.Lines(strings.TrimPrefix(block, usageMark)) {
		if line = strings.TrimSpace(line); line != "" {
			p.WriteString(roff(line) + "\n")
		}
	}
	p.WriteString(".fi\n")
}

// block adds a block of the help. Between two blocks is an empty line.
func (p *page) block(block string) {
	first, rest, _ := strings.Cut(block, "\n")
	heading, isHeading := strings.CutSuffix(first, ":")
	switch {
	case isHeading && heading == flagsHeading:
		p.options()
		p.section, p.begun, p.listed = "NOTES", false, true
		return // the rest of the block, if any, lists flags
	case isHeading && slices.ContainsFunc(p.flags, func(f Flag) bool { return f.Group == heading }):
		return // the method options writes this group
	case isHeading && !strings.HasPrefix(first, " ") && strings.HasPrefix(rest, "  "):
		fmt.Fprintf(p, ".SH %s\n", roff(strings.ToUpper(heading)))
		p.begun, block = true, rest
	}
	if !p.begun {
		fmt.Fprintf(p, ".SH %s\n", p.section)
		p.begun = true
	} else if !strings.HasPrefix(block, " ") {
		p.WriteString(".PP\n")
	}
	if strings.HasPrefix(block, " ") {
		p.WriteString(".PP\n.nf\n" + roff(block) + "\n.fi\n")
	} else {
		p.WriteString(roff(block) + "\n")
	}
}

// options adds the section of the flags.
func (p *page) options() {
	p.WriteString(".SH OPTIONS\n")
	group := ""
	for _, f := range append(slices.Clone(p.flags[1:]), Flag{Name: "-h", About: "print the help"}) {
		if f.Group != group && f.Group != "" {
			group = f.Group
			fmt.Fprintf(p, ".SS %s\n", roff(group))
		}
		fmt.Fprintf(p, ".TP\n\\fB%s\\fR", roff(f.Name))
		if f.Value != "" {
			fmt.Fprintf(p, " \\fI%s\\fR", roff(f.Value))
		}
		fmt.Fprintf(p, "\n%s\n", roff(f.About))
	}
}

func mapped(texts []string, f func(string) string) (all []string) {
	for _, t := range texts {
		all = append(all, f(t))
	}
	return all
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
