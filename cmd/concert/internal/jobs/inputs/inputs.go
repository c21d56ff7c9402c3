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
// always the first source. So only the values from the command line are kept
// in memory.
//
// Rules:
//
//   - A value is never changed, and it is always passed as one argument or as
//     part of one. It can begin with "-". To prevent a program from using it
//     as an option, write ./{} or -- {}.
//   - No value is ever executed or parsed by a shell. See shellCommand for how
//     a script gets the values. Parse refuses an input in the script of sh -c
//     "echo {}" and of other known interpreters, even if a program such as
//     timeout runs the interpreter.
//   - Split, Open and Parse return all errors that can be found before the
//     first job starts. For this, Open reads a regular file once before the
//     jobs read it. The lines of a pipe are not known at the start, so Next
//     returns their errors. If the command line is wrong, the type of the error
//     is cli.UsageError.
//   - A value cannot contain a zero byte, because an argument of a program
//     cannot contain one.
package inputs

// Input is the input of one job.
type Input struct {
	Number int      // number of the input; the first one is 1
	Values []string // one or more; the caller may keep them
}

// Group is a list of values that was given after ::: or :::+.
type Group struct {
	Linked bool // linked with the group before, because it was given after :::+
	Values []string
}
