module github.com/msgorch/msgorch

go 1.26
