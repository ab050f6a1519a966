package top

// tableColumn is a column of a table with rows of one type.
type tableColumn[T any] struct {
	column
	least, most int  // its width, where the cells want less or more
	optional    bool // it is left out where its cells are empty
	cell        func(d *painter, row *T, width int) Span
}

// columnOf returns a column. It is at least as wide as its title.
func columnOf[T any](title string, least, most int, cell func(d *painter, row *T, width int) Span) tableColumn[T] {
	return tableColumn[T]{column{title, 0, false}, least, most, false, cell}
}

// alignedRight returns a column whose cells are aligned right.
func alignedRight[T any](c tableColumn[T]) tableColumn[T] {
	c.alignRight = true
	return c
}

// optional returns a column that is left out where its cells are empty.
func optional[T any](c tableColumn[T]) tableColumn[T] {
	c.optional = true
	return c
}

// whole means no limit: the column is as wide as its widest cell.
const whole = 99

// chooseLayout returns the columns of the first layout that fits the rows; layouts begin with the richest. If none
// fits, it returns the columns of the last one, and how much room is missing.
func chooseLayout[T any](d *painter, layouts [][]tableColumn[T], rows []T) (columns []tableColumn[T], missing int) {
	room := 0
	for _, layout := range layouts {
		if columns, room = measureColumns(d, layout, rows); room >= 0 {
			growColumns(columns, room)
			return columns, 0
		}
	}
	return columns, -room
}

// measureColumns returns the columns that have something to show, each with its least width, and at
// most with what its cells want. Room is what is left of the line's: less than 0 where it is too short.
func measureColumns[T any](d *painter, layout []tableColumn[T], rows []T) (columns []tableColumn[T], room int) {
	room = d.Width + 1
	for _, c := range layout {
		want := 0
		for i := range rows {
			want = max(want, widths.StringWidth(c.cell(d, &rows[i], whole).Text))
		}
		if want == 0 && c.optional {
			continue
		}
		c.most = max(len(c.title), min(want, c.most))
		c.width = min(c.most, c.least)
		room -= c.width + 1
		columns = append(columns, c)
	}
	return columns, room
}

// growColumns shares out room to the columns whose cells want more. The last one gets what is left.
func growColumns[T any](columns []tableColumn[T], room int) {
	for i := range columns {
		more := max(0, min(columns[i].most-columns[i].width, room))
		columns[i].width += more
		room -= more
	}
	columns[len(columns)-1].width += max(0, room)
}

// tableLines draws those rows of a table that are seen, with the cursor's inverse. Where even the last
// layout is too wide, narrow takes what is missing from its columns.
func tableLines[T any](d *painter, layouts [][]tableColumn[T], rows []T, height int, narrow func(columns []tableColumn[T], missing int)) []Line {
	height--
	top := d.scrollToCursor(len(rows), height)
	seen := rows[top:max(top, min(len(rows), top+height))]
	columns, missing := chooseLayout(d, layouts, seen)
	if missing > 0 {
		narrow(columns, missing)
	}
	heads := make([]column, len(columns))
	for i := range columns {
		heads[i] = columns[i].column
	}
	lines := []Line{columnHeads(heads).withTone(Bold, d.Width)}
	for i := range seen {
		cells := make([]Span, len(columns))
		for j := range columns {
			cells[j] = columns[j].cell(d, &seen[i], columns[j].width)
		}
		l := tableRow(heads, cells)
		if top+i == d.positions[d.page].cursor {
			l = l.withTone(Inverse, d.Width)
		}
		lines = append(lines, l)
	}
	return lines
}
