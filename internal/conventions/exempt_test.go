package conventions

// exempt lists, for each rule, the directories that do not follow it yet.
var exempt = map[string]string{
	"example":        "executor",
	"word any more":  "executor",
	"word for good":  "executor",
	"word lest":      "executor",
	"word likewise":  "executor",
	"word meanwhile": "executor",
	"word nobody":    "executor",
	"word somebody":  "executor",
	"word whoever":   "executor",
}
