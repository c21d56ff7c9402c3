package conventions

// exempt lists, for each rule, the directories that do not follow it yet.
var exempt = map[string]string{
	"comment width":  "cluster",
	"example":        "executor",
	"word any more":  "cluster executor",
	"word anybody":   "cluster",
	"word for good":  "cluster executor",
	"word lest":      "executor",
	"word likewise":  "executor",
	"word meanwhile": "cluster executor",
	"word nobody":    "cluster executor",
	"word once more": "cluster",
	"word somebody":  "cluster executor",
	"word whoever":   "cluster/server executor",
}
