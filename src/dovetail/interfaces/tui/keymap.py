"""The keys of the full-screen interface, as data: what the help shows and the tests check."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Key:
    """``keys`` are alternatives; each is the keys to press one after another, with spaces.

    ``action`` may have one argument: ``move(left)``. ``focus`` is where it works: ``everywhere``,
    ``editor``, ``vi`` (its normal mode), ``results``, ``catalog``.
    """

    focus: str
    keys: tuple[str, ...]
    action: str
    help: str


def _keys(focus: str, table: str) -> tuple[Key, ...]:
    found = []
    for line in table.splitlines():
        if not line.strip():
            continue
        keys, action, help_text = (part.strip() for part in line.split("|||"))
        spelled = tuple(k.strip() for k in keys.split("  ") if k.strip())
        found.append(Key(focus, spelled, action, help_text))
    return tuple(found)


# Alternatives are apart by two spaces, the keys of a sequence by one.
EVERYWHERE = _keys(
    "everywhere",
    """
    f1                    ||| help                 ||| keys of this place, searchable
    ctrl+p                ||| palette              ||| all actions
    f5                    ||| run                  ||| run the selection or statement
    shift+f5              ||| run_all              ||| run all statements
    f4                    ||| format               ||| format the buffer
    f6                    ||| plan                 ||| plan and profile
    shift+f6              ||| toggle(profile)      ||| show or hide the profile of the shown query
    f8                    ||| history              ||| history
    f9                    ||| toggle(catalog)      ||| show or hide the catalog
    shift+f9              ||| toggle(editor)       ||| show or hide the editor
    ctrl+f9               ||| toggle(results)      ||| show or hide the results
    f10                   ||| full_screen          ||| this pane on the whole screen, and back
    f12                   ||| debug                ||| facts for a report
    ctrl+c                ||| cancel               ||| cancel the running query; Esc Esc too
    ctrl+q                ||| quit                 ||| leave
    ctrl+n                ||| new_buffer           ||| new editor tab
    ctrl+pagedown         ||| next_buffer          ||| next editor tab
    ctrl+pageup           ||| previous_buffer      ||| previous editor tab
    alt+1                 ||| pane(catalog)        ||| to the catalog
    alt+2                 ||| pane(editor)         ||| to the editor
    alt+3                 ||| pane(results)        ||| to the results
    alt+up                ||| grow(-2)             ||| smaller editor
    alt+down              ||| grow(2)              ||| larger editor
    alt+left              ||| widen(-3)            ||| narrower catalog
    alt+right             ||| widen(3)             ||| wider catalog
    """,
)

EDITOR = _keys(
    "editor",
    """
    ctrl+j  ctrl+enter    ||| run                  ||| run the selection or statement
    ctrl+space            ||| complete             ||| completion
    ctrl+r                ||| history              ||| history
    ctrl+g                ||| ask                  ||| ask a question
    ctrl+f                ||| find                 ||| find and replace
    ctrl+l                ||| goto_line            ||| go to a line
    ctrl+underscore  ctrl+slash ||| comment        ||| comment lines in or out
    ctrl+o                ||| open                 ||| open a file
    ctrl+s                ||| save                 ||| save to a file
    ctrl+f4  ctrl+x k     ||| close_buffer         ||| close this tab
    ctrl+a                ||| line_start           ||| start of the line
    ctrl+e                ||| line_end             ||| end of the line
    ctrl+x asterisk       ||| expand_star          ||| write the columns of * out
    ctrl+x ctrl+e         ||| external_editor      ||| edit in $EDITOR
    ctrl+x e              ||| goto_error           ||| to the place of the error
    ctrl+x s              ||| save_as              ||| save under another name
    ctrl+x q              ||| saved_queries        ||| saved queries
    ctrl+x w              ||| save_query           ||| keep this as a saved query
    ctrl+x b              ||| buffers              ||| list of tabs
    ctrl+x ctrl+x         ||| last_buffer          ||| between the last two tabs
    ctrl+x 1              ||| buffer(1)            ||| editor tab 1
    ctrl+x 2              ||| buffer(2)            ||| editor tab 2
    ctrl+x 3              ||| buffer(3)            ||| editor tab 3
    ctrl+x 4              ||| buffer(4)            ||| editor tab 4
    ctrl+x 5              ||| buffer(5)            ||| editor tab 5
    ctrl+x 6              ||| buffer(6)            ||| editor tab 6
    ctrl+x 7              ||| buffer(7)            ||| editor tab 7
    ctrl+x 8              ||| buffer(8)            ||| editor tab 8
    ctrl+x 9              ||| buffer(9)            ||| editor tab 9
    alt+g s               ||| clause(select)       ||| to SELECT
    alt+g f               ||| clause(from)         ||| to FROM
    alt+g w               ||| clause(where)        ||| to WHERE
    alt+g g               ||| clause(group)        ||| to GROUP BY
    alt+g h               ||| clause(having)       ||| to HAVING
    alt+g o               ||| clause(order)        ||| to ORDER BY
    alt+n                 ||| statement(1)         ||| next statement
    alt+p                 ||| statement(-1)        ||| previous statement
    alt+f                 ||| word(1)              ||| next word
    alt+b                 ||| word(-1)             ||| previous word
    alt+d                 ||| kill_word            ||| delete the next word
    ctrl+w                ||| kill_word_back       ||| delete the word before
    ctrl+z                ||| undo_edit            ||| take the last change back
    alt+z  ctrl+shift+z   ||| redo_edit            ||| make it again
    ctrl+k                ||| kill_line            ||| delete to the end of the line
    ctrl+u                ||| kill_to_start        ||| delete to the start of the line
    ctrl+y                ||| put_back             ||| put back what was deleted
    escape                ||| to_results           ||| to the results
    """,
)

# Normal and visual mode of the editor with `tui.editor: vi`; `i` and `a` after an operator or in
# visual mode begin a text object instead.
EDITOR_VI = _keys(
    "vi",
    """
    h  left  backspace    ||| motion(left)         ||| a character to the left
    l  right  space       ||| motion(right)        ||| a character to the right
    j  down  enter        ||| motion(down)         ||| a line down
    k  up                 ||| motion(up)           ||| a line up
    w                     ||| motion(word)         ||| next word
    b                     ||| motion(back)         ||| previous word
    e                     ||| motion(word_end)     ||| end of the word
    0  home               ||| motion(line_start)   ||| start of the line
    circumflex_accent     ||| motion(first_letter) ||| first character of the line
    dollar_sign  end      ||| motion(line_last)    ||| end of the line
    g g                   ||| motion(first_row)    ||| first line; 12gg line 12
    G                     ||| motion(last_row)     ||| last line; 12G line 12
    left_curly_bracket    ||| motion(paragraph_back) ||| previous empty line
    right_curly_bracket   ||| motion(paragraph)    ||| next empty line
    percent_sign          ||| motion(pair)         ||| the matching bracket
    f                     ||| motion(find)         ||| f, then a character: to it
    F                     ||| motion(find_back)    ||| to it, backward
    t                     ||| motion(till)         ||| up to it
    T                     ||| motion(till_back)    ||| up to it, backward
    semicolon             ||| motion(again)        ||| to the next such character
    comma                 ||| motion(again_back)   ||| to the previous such character
    d                     ||| operator(d)          ||| delete: dd, dw, d$, diw, di(, d3j
    c                     ||| operator(c)          ||| change: as d, then insert
    y                     ||| operator(y)          ||| copy: as d
    greater_than_sign     ||| operator(indent)     ||| shift to the right
    less_than_sign        ||| operator(outdent)    ||| shift to the left
    i  insert             ||| vi(insert)           ||| insert
    I                     ||| vi(insert_first)     ||| insert at the first character
    a                     ||| vi(append)           ||| insert behind the cursor
    A                     ||| vi(append_last)      ||| insert at the end of the line
    o                     ||| vi(open_below)       ||| new line below
    O                     ||| vi(open_above)       ||| new line above
    x  delete             ||| vi(delete_letter)    ||| delete a character
    D                     ||| vi(delete_rest)      ||| delete to the end of the line
    C                     ||| vi(change_rest)      ||| change to the end of the line
    s                     ||| vi(substitute)       ||| change a character
    Y                     ||| vi(copy_line)        ||| copy the line
    p                     ||| vi(put_after)        ||| put behind the cursor
    P                     ||| vi(put_before)       ||| put before the cursor
    J                     ||| vi(join)             ||| join with the next line
    tilde                 ||| vi(swap_case)        ||| capitals and small letters
    r                     ||| replace              ||| r, then a character: replace by it
    u                     ||| vi(undo)             ||| undo
    ctrl+r                ||| vi(redo)             ||| redo
    v                     ||| vi(visual)           ||| select characters
    V                     ||| vi(visual_lines)     ||| select lines
    slash                 ||| find                 ||| find and replace
    colon                 ||| command              ||| a command by name; :w saves
    escape                ||| to_results           ||| to the results
    """,
)

CATALOG = _keys(
    "catalog",
    """
    enter                 ||| insert_name          ||| put the name into the editor
    y                     ||| copy_name            ||| copy the name
    p                     ||| preview              ||| first 200 rows
    d                     ||| describe             ||| columns
    s                     ||| profile              ||| statistics of all columns
    j                     ||| suggest_join         ||| join with the marked table
    m                     ||| mark                 ||| mark a table for a join
    r                     ||| refresh              ||| read this source anew
    slash                 ||| filter               ||| filter by name
    escape                ||| to_editor            ||| to the editor
    """,
)

_SHARED_RESULTS = """
    tab                   ||| next_pane            ||| next pane
    shift+tab             ||| previous_pane        ||| previous pane
    enter                 ||| show_cell            ||| the whole value
    ctrl+s                ||| export               ||| export
    colon                 ||| command              ||| a command by name
    alt+s                 ||| all_statistics       ||| statistics of all columns
    alt+f                 ||| frequencies          ||| how often each value comes
    alt+c                 ||| chart                ||| chart of this column
    alt+comma             ||| drop_value           ||| leave rows with this value out
    pagedown  ctrl+f      ||| page(1)              ||| a page down
    pageup  ctrl+b        ||| page(-1)             ||| a page up
    shift+down            ||| select(down)         ||| select downwards
    shift+up              ||| select(up)           ||| select upwards
    shift+left            ||| select(left)         ||| select to the left
    shift+right           ||| select(right)        ||| select to the right
    f2                    ||| statistics           ||| statistics of this column
    f3                    ||| next_match(1)        ||| next match
    f7                    ||| filter(fuzzy)        ||| filter
    shift+f3              ||| next_match(-1)       ||| previous match
    escape                ||| back                 ||| take the newest filter back; leave
    """

RESULTS_VIM = _keys(
    "results",
    _SHARED_RESULTS
    + """
    h  left               ||| move(left)           ||| a cell to the left
    j  down               ||| move(down)           ||| a row down
    k  up                 ||| move(up)             ||| a row up
    l  right              ||| move(right)          ||| a cell to the right
    g g  ctrl+home        ||| row(first)           ||| first row; 12gg row 12
    G  ctrl+end           ||| row(last)            ||| last row; 12G row 12
    0  circumflex_accent  home ||| column(first)   ||| first column
    dollar_sign  end      ||| column(last)         ||| last column
    vertical_line         ||| column(number)       ||| 7| is the seventh column
    H                     ||| view_row(top)        ||| top row of the view
    M                     ||| view_row(middle)     ||| middle row of the view
    L                     ||| view_row(bottom)     ||| bottom row of the view
    ctrl+d                ||| half_page(1)         ||| half a page down
    ctrl+u                ||| half_page(-1)        ||| half a page up
    z z                   ||| scroll_row(middle)   ||| this row to the middle
    z t                   ||| scroll_row(top)      ||| this row to the top
    z b                   ||| scroll_row(bottom)   ||| this row to the bottom
    w                     ||| change(1)            ||| next different value
    b                     ||| change(-1)           ||| previous different value
    right_square_bracket n ||| null(1)             ||| next NULL
    left_square_bracket n ||| null(-1)             ||| previous NULL
    y y                   ||| yank(row)            ||| copy the row
    y c                   ||| yank(column)         ||| copy the column
    y v                   ||| yank(value)          ||| copy the value
    y a                   ||| yank(all)            ||| copy everything shown
    y s                   ||| yank(selection)      ||| copy the selection
    y q                   ||| yank(query)          ||| copy the query
    y i                   ||| yank(in)             ||| copy the column as a SQL IN list
    y w                   ||| yank(where)          ||| copy the row as conditions
    y p                   ||| yank(plan)           ||| copy the plan
    quotation_mark c      ||| yank_format(csv)     ||| next copy as CSV
    quotation_mark j      ||| yank_format(json)    ||| next copy as JSON
    quotation_mark m      ||| yank_format(markdown) ||| next copy as Markdown
    quotation_mark s      ||| yank_format(insert)  ||| next copy as INSERT
    v                     ||| cycle_mode           ||| cell, row or column mode
    V                     ||| start_selection      ||| begin or end a selection
    s                     ||| sort                 ||| sort: up, down, not
    z s                   ||| sort_more            ||| add this column to the sort
    f                     ||| filter(fuzzy)        ||| fuzzy filter; begin with ' for exact
    F                     ||| filter(regex)        ||| filter by regular expression
    apostrophe            ||| filter(exact)        ||| filter by exact text
    comma                 ||| keep_value           ||| keep rows with this value
    equals_sign           ||| filter(expression)   ||| filter by a SQL condition
    z f                   ||| clear_filters        ||| take all filters back
    z x                   ||| choose_filter        ||| take one filter back, from a list
    slash                 ||| search(1)            ||| search forward
    question_mark         ||| search(-1)           ||| search backward
    g slash               ||| search_column        ||| search this column
    n                     ||| next_match(1)        ||| next match
    N                     ||| next_match(-1)       ||| previous match
    backslash             ||| find_column          ||| to a column by name
    S                     ||| statistics           ||| statistics of this column
    minus                 ||| hide                 ||| hide the column
    plus                  ||| unhide_all           ||| show hidden columns
    p                     ||| pin                  ||| pin the column at the left
    P                     ||| unpin_all            ||| unpin all columns
    less_than_sign        ||| move_column(-1)      ||| column to the left
    greater_than_sign     ||| move_column(1)       ||| column to the right
    underscore            ||| fit                  ||| fit the column's width
    left_curly_bracket    ||| width(-4)            ||| narrower column
    right_curly_bracket   ||| width(4)             ||| wider column
    z minus               ||| hide_empty           ||| hide columns that are all NULL
    C                     ||| columns              ||| list of columns
    u                     ||| undo                 ||| take the last change of the view back
    number_sign           ||| row_numbers          ||| row numbers
    space                 ||| lock                 ||| lock the view
    g t                   ||| next_result          ||| next result; 2gt the second
    g T                   ||| previous_result      ||| previous result
    g x                   ||| close_result         ||| close this result
    i                     ||| to_editor            ||| to the editor
    """,
)

RESULTS_PLAIN = _keys(
    "results",
    _SHARED_RESULTS
    + """
    left                  ||| move(left)           ||| a cell to the left
    down                  ||| move(down)           ||| a row down
    up                    ||| move(up)             ||| a row up
    right                 ||| move(right)          ||| a cell to the right
    ctrl+home             ||| row(first)           ||| first row
    ctrl+end              ||| row(last)            ||| last row
    home                  ||| column(first)        ||| first column
    end                   ||| column(last)         ||| last column
    ctrl+y                ||| yank(selection)      ||| copy the selection
    ctrl+r                ||| yank(row)            ||| copy the row
    ctrl+a                ||| yank(all)            ||| copy everything shown
    ctrl+t                ||| cycle_mode           ||| cell, row or column mode
    ctrl+o                ||| sort                 ||| sort: up, down, not
    ctrl+e                ||| filter(expression)   ||| filter by a SQL condition
    ctrl+x                ||| filter(regex)        ||| filter by regular expression
    comma                 ||| keep_value           ||| keep rows with this value
    slash                 ||| search(1)            ||| search forward
    delete                ||| hide                 ||| hide the column
    insert                ||| unhide_all           ||| show hidden columns
    ctrl+l                ||| pin                  ||| pin the column at the left
    ctrl+left             ||| move_column(-1)      ||| column to the left
    ctrl+right            ||| move_column(1)       ||| column to the right
    ctrl+k                ||| columns              ||| list of columns
    ctrl+z                ||| undo                 ||| take the last change of the view back
    """,
)

EDITORS = {"plain": (), "vi": EDITOR_VI}

KEYMAPS = {"vim": RESULTS_VIM, "plain": RESULTS_PLAIN}

FOCUSES = ("everywhere", "editor", "vi", "results", "catalog")
