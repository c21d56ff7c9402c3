package conventions

// exempt lists, for each rule, the directories that do not follow it yet.
var exempt = map[string]string{}
