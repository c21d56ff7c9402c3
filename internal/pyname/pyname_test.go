package pyname_test

import (
	"testing"

	"concert/internal/pyname"
)

// TestCheck_Names: Check must accept all names that a function can have, and
// must refuse other texts.
func TestCheck_Names(t *testing.T) {
	for where, want := range map[string]string{
		"statistics:fmean":                      "",
		"numpy:linalg.norm":                     "",
		"concurrent.futures:ThreadPoolExecutor": "",
		"_private:__call__":                     "",
		"größe:maß":                             "",
		"単位:変換_2":                               "",
		"01_prepare:main":                       "", // importlib finds 01_prepare.py,
		"my-tool:main":                          "", // and my-tool.py
		"models:make()":                         "",
		"models:Model().predict":                "",
		"models:Model('large', layers=3).f":     "",
		"models:Model(')', \"(\", '\\')').f":    "",
		"models:Model((1, 2), {'a': [3]}).f.g":  "",
		"models:Model('''it's (''' ).f":         "",

		"":                       "it is empty",
		"statistics":             "it has no colon",
		":":                      "the name of the module is empty",
		":fmean":                 "the name of the module is empty",
		"statistics:":            "the name of the function is empty",
		".statistics:fmean":      `the module ".statistics" has an empty part`,
		"a..b:f":                 `the module "a..b" has an empty part`,
		"a.:f":                   `the module "a." has an empty part`,
		"a b:f":                  `"a b" is not the name of a module`,
		"a/b:f":                  `"a/b" is not the name of a module`,
		"a\n:f":                  `"a\n" is not the name of a module`,
		"m\xff:f":                `"m\xff" is not the name of a module`,
		"statistics:not a name":  `"not a name" is not an identifier`,
		"statistics:not-a-name":  `"not-a-name" is not an identifier`,
		"statistics:1st":         `"1st" is not an identifier`,
		"statistics: fmean":      `" fmean" is not an identifier`,
		"statistics:fmean ":      `"fmean " is not an identifier`,
		"statistics:a:b":         `"a:b" is not an identifier`,
		"statistics:f\xff":       `"f\xff" is not an identifier`,
		"statistics:lambda x: x": `"lambda x: x" is not an identifier`,
		"statistics:f\n":         `the name of the function has the character '\n'`,
		"statistics:.f":          "the name of the function has an empty part",
		"statistics:f.":          "the name of the function has an empty part",
		"statistics:a..f":        "the name of the function has an empty part",
		"statistics:()":          "the name of the function has an empty part",
		"statistics:f[0]":        `"f[0]" is not an identifier`,
		"models:Model(.f":        `the parenthesis in "Model(.f" is not closed`,
		"models:Model('x).f":     `the parenthesis in "Model('x).f" is not closed`,
		"models:Model()f":        `"f" follows a parenthesis: want a dot and a name`,
		"models:make()()":        `"()" follows a parenthesis: want a dot and a name`,
		"models:f)":              `"f)" is not an identifier`,
	} {
		got := ""
		if err := pyname.Check(where); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("Check(%q) = %q, want %q", where, got, want)
		}
	}
}
