// Package inputs has the inputs of the jobs of "concert map", and makes the
// arguments of a job from an input.
//
//	::: a b  :::+ x y  ::: 1 2     -i FILE, -i -      --csv FILE
//	          |                         |                 |
//	       Groups                  lines, or NUL       records
//	          |                         |                 |
//	          |                         +--- records -----+   read once to check and count
//	          |                                 |              (regular files only), then lazily
//	          +----------- Reader --------------+
//	                         |
//	                      Input{Number, Values}
//	                         |
//	command --> Parse --> Template.Args --> the arguments of one job
//
// A source has records, and a record has one value or more: a line has one, a
// record of a CSV file has one for each column, and linked arguments (:::+)
// have one for each list. An Input combines one record of each source. All
// combinations are inputs, and the last source changes fastest. A file is
// always the first source, so that only the arguments are kept in memory.
//
// Rules:
//
//   - A value is never changed, and it is always passed as one argument or as
//     part of one. It can begin with "-": to prevent that a program takes it
//     as an option, write ./{} or -- {}.
//   - No value is ever executed or parsed by a shell. See shellCommand for how
//     a script gets the values. Parse refuses an input in the script of sh -c
//     "echo {}" and of other known interpreters, even if a program such as
//     timeout runs the interpreter.
//   - What can be refused before the first job starts is refused by Split, Open
//     or Parse, with an error of type cli.UsageError if the command line is
//     wrong. A regular file is read twice for this reason. Only the end of a
//     pipe is unknown, so Next returns errors of its lines.
//   - A value cannot contain a zero byte, because an argument cannot.
package inputs

// Input is the input of one job.
type Input struct {
	Number int      // number of the input; the first one is 1
	Values []string // one or more; the caller may keep them
}

// Group is a list of values that was given after ::: or :::+.
type Group struct {
	Linked bool // with the group before; given after :::+
	Values []string
}
