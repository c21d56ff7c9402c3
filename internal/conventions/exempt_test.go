package conventions

// exempt lists, for each rule, the directories that do not follow it yet.
var exempt = map[string]string{
	"comment width":  "choose cluster processes",
	"doc comment":    "choose",
	"error prefix":   "choose",
	"example":        ". cluster/server download gil loop processes progress python",
	"word any more":  ". cluster processes",
	"word anybody":   "cluster loop",
	"word for good":  ". choose cluster loop processes",
	"word lest":      ".",
	"word likewise":  ". choose processes",
	"word meanwhile": ". choose cluster loop processes",
	"word nobody":    ". cluster loop processes",
	"word once more": "choose cluster",
	"word somebody":  ". cluster processes",
	"word whoever":   ". cluster processes",
}
