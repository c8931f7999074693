/* jinja_eval.c: nodes and values to text. Names live in frames: one of the template, one of each pass of a loop,
 * of each call of a macro, of each block; setting a name sets it in the innermost, looking one up goes outwards,
 * then to the caller's values, then to the built-in functions. */
#include "jinja_impl.h"

#include <stdlib.h>
#include <string.h>

typedef struct binding {
    uint32_t hash;
    text name;
    value v;
} binding;

typedef struct frame {
    struct frame *up;
    binding *b;
    uint32_t n, cap;
    bool captured; /* a macro was made in it, so it outlives its block */
} frame;

typedef struct macro {
    const node *def; /* N_MACRO */
    frame *scope;    /* where it was made */
} macro;

typedef struct render {
    job j;
    const jinja *t;
    const jinja_value *given;
    map *globals;
    frame *frame;
    buf *out;
    value block; /* the body of the set block whose filters are at work */
} render;

typedef enum { NEXT, BREAK, CONTINUE } flow;

static value eval(render *r, const node *n);
static flow exec(render *r, const node *n);

/* ---- names ---- */

static frame *push(render *r, frame *up)
{
    frame *f = jj_array(&r->j, 1, sizeof *f);
    f->up = up;
    r->frame = f;
    return f;
}

static binding *find(job *j, const frame *f, text name, uint32_t hash)
{
    jj_tick(j, f->n / 64);
    for (uint32_t i = 0; i < f->n; i++)
        if (f->b[i].hash == hash && jj_same(f->b[i].name, name)) return &f->b[i];
    return NULL;
}

static void set_name(render *r, text name, uint32_t hash, value v)
{
    frame *f = r->frame;
    binding *b = find(&r->j, f, name, hash);
    if (!b) {
        if (f->n == f->cap) {
            uint32_t cap = f->cap > 0 ? 2 * f->cap : 4;
            binding *more = jj_array(&r->j, cap, sizeof *more);
            if (f->n > 0) memcpy(more, f->b, f->n * sizeof *more);
            f->b = more;
            f->cap = cap;
        }
        b = &f->b[f->n++];
        *b = (binding){.hash = hash, .name = name};
    }
    b->v = v;
}

static value look_up(render *r, const node *n)
{
    for (const frame *f = r->frame; f; f = f->up) {
        const binding *b = find(&r->j, f, n->name, n->hash);
        if (b && jj_given(b->v)) return b->v;
    }
    const value *v = jj_map_get(&r->j, r->globals, (value){.type = V_STRING, .s = &n->name});
    if (v) return *v;
    const builtin *fn = jj_find(jj_functions, n->name);
    if (fn && (fn->fn != jj_strftime_now || r->j.now)) return (value){.type = V_FUNCTION, .function = fn};
    return (value){.type = V_UNDEFINED, .s = &n->name};
}

static void assign(render *r, const node *target, value v)
{
    r->j.at = target->at;
    if (target->kind == N_NAME) {
        set_name(r, target->name, target->hash, v);
    } else if (target->kind == N_ATTR) {
        value ns = look_up(r, target->kid[0]);
        if (ns.type != V_NAMESPACE) jj_fail(&r->j, "attributes can be set in a namespace, not in %s", jj_type_name(ns));
        jj_map_set(&r->j, ns.map, (value){.type = V_STRING, .s = &target->name}, v);
    } else {
        const list *l = jj_items(&r->j, v);
        if (l->n != target->n) jj_fail(&r->j, "%zu values for %u names", l->n, target->n);
        for (uint32_t i = 0; i < target->n; i++) assign(r, target->kid[i], l->v[i]);
    }
}

/* ---- capture ---- */

/* Runs a body with its text going elsewhere, in a new frame within `up`. */
static text capture(render *r, const node *body, frame *scope)
{
    buf b = {.j = &r->j}, *out = r->out;
    frame *frame_before = r->frame;
    r->out = &b;
    r->frame = scope;
    exec(r, body);
    r->frame = frame_before;
    r->out = out;
    return jj_text(&b);
}

/* ---- calls ---- */

static value make_macro(render *r, const node *def)
{
    macro *m = jj_array(&r->j, 1, sizeof *m);
    *m = (macro){def, r->frame};
    for (frame *f = r->frame; f && !f->captured; f = f->up) f->captured = true;
    return (value){.type = V_MACRO, .macro = m};
}

/* The arguments by position, by name, or by default; what is missing is undefined. */
static void bind_parameters(render *r, const node *def, call *c, value caller)
{
    size_t used = 0;
    if (c->n > def->n_kw)
        jj_fail(&r->j, "macro \"%.*s\" takes at most %u arguments, not %zu", JJ_SHOW(def->name), def->n_kw, c->n);
    for (uint32_t i = 0; i < def->n_kw; i++) {
        value v = {.type = V_ABSENT};
        if (i < c->n) v = c->arg[i];
        for (size_t k = 0; k < c->n_kw && i >= c->n; k++) {
            if (!jj_same(c->kw[k], def->kw[i])) continue;
            v = c->arg[c->n + k];
            used++;
        }
        if (!jj_given(v) && jj_is(def->kw[i], "caller") && jj_given(caller)) v = caller;
        if (!jj_given(v) && def->kid[1 + i]) v = eval(r, def->kid[1 + i]);
        if (!jj_given(v)) v = (value){.type = V_UNDEFINED, .s = &def->kw[i]};
        set_name(r, def->kw[i], jj_hash(def->kw[i]), v);
    }
    if (used < c->n_kw)
        jj_fail(&r->j, "macro \"%.*s\" was given an argument by name that it lacks, or twice", JJ_SHOW(def->name));
}

static value call_macro(render *r, const macro *m, call *c, value caller)
{
    jj_enter(&r->j);
    if (jj_given(caller) && !m->def->uses_caller)
        jj_fail(&r->j, "macro \"%.*s\" does not call its caller", JJ_SHOW(m->def->name));
    frame *before = r->frame, *scope = push(r, m->scope);
    text name = {"caller", (const uint8_t *)"\1\1\1\1\1\1", 6};
    set_name(r, name, jj_hash(name), jj_given(caller) ? caller : (value){.type = V_UNDEFINED, .s = &m->def->name});
    bind_parameters(r, m->def, c, caller);
    r->frame = before;
    value v = jj_string(&r->j, capture(r, m->def->kid[0], scope));
    r->j.depth--;
    return v;
}

/* Evaluates the arguments of a call, filter or test: its kids from `first` on. */
static call arguments(render *r, const node *n, uint32_t first)
{
    value *arg = n->n > first ? jj_array(&r->j, n->n - first, sizeof *arg) : NULL;
    for (uint32_t i = first; i < n->n; i++) arg[i - first] = eval(r, n->kid[i]);
    r->j.at = n->at;
    return (call){.j = &r->j, .arg = arg, .kw = n->kw, .n = n->n - first - n->n_kw, .n_kw = n->n_kw};
}

static value eval_call(render *r, const node *n, value caller)
{
    value f = eval(r, n->kid[0]);
    call c = arguments(r, n, 1);
    switch (f.type) {
    case V_MACRO: return call_macro(r, f.macro, &c, caller);
    case V_METHOD: c.self = f.method->self; return jj_apply(&c, f.method->fn);
    case V_FUNCTION: return jj_apply(&c, f.function);
    case V_UNDEFINED:
        if (jj_is(*f.s, "strftime_now")) jj_fail(&r->j, "the template wants the date: give it as \"now\"");
        jj_fail(&r->j, "\"%.*s\" is undefined, so it cannot be called", JJ_SHOW(*f.s));
    default: jj_fail(&r->j, "%s cannot be called", jj_type_name(f));
    }
}

static value eval_builtin(render *r, const node *n)
{
    value self = n->kid[0] ? eval(r, n->kid[0]) : r->block;
    call c = arguments(r, n, 1);
    c.self = self;
    return jj_apply(&c, n->fn);
}

/* ---- expressions ---- */

static bool compare(render *r, const char *op, value a, value b)
{
    if (strcmp(op, "==") == 0) return jj_equal(&r->j, a, b);
    if (strcmp(op, "!=") == 0) return !jj_equal(&r->j, a, b);
    if (strcmp(op, "in") == 0) return jj_contains(&r->j, b, a);
    if (strcmp(op, "not in") == 0) return !jj_contains(&r->j, b, a);
    int order = jj_compare(&r->j, a, b);
    return order == (op[0] == '<' ? -1 : 1) || (op[1] == '=' && order == 0);
}

static value eval_compare(render *r, const node *n)
{
    value left = eval(r, n->kid[0]);
    for (uint32_t i = 1; i < n->n; i++) {
        value right = eval(r, n->kid[i]);
        r->j.at = n->at;
        if (!compare(r, n->op[i - 1], left, right)) return jj_bool(false);
        left = right;
    }
    return jj_bool(true);
}

static value eval_arith(render *r, const node *n)
{
    value v = eval(r, n->kid[0]);
    for (uint32_t i = 1; i < n->n; i++) {
        value right = eval(r, n->kid[i]);
        r->j.at = n->at;
        v = jj_arith(&r->j, n->op[i - 1], v, right);
    }
    return v;
}

static value eval_concat(render *r, const node *n)
{
    buf b = {.j = &r->j};
    for (uint32_t i = 0; i < n->n; i++) jj_print(&b, eval(r, n->kid[i]));
    return jj_string(&r->j, jj_text(&b));
}

/* `or` stops at what is true, `and` at what is not; the value is that of the last operand looked at. */
static value eval_logic(render *r, const node *n)
{
    value v = eval(r, n->kid[0]);
    for (uint32_t i = 1; i < n->n && jj_true(v) == (n->kind == N_AND); i++) v = eval(r, n->kid[i]);
    return v;
}

static value eval_list(render *r, const node *n)
{
    list *l = jj_new_list(&r->j, n->n, n->kind == N_TUPLE ? K_TUPLE : K_LIST);
    for (uint32_t i = 0; i < n->n; i++) l->v[i] = eval(r, n->kid[i]);
    return jj_list_value(l);
}

static value eval_map(render *r, const node *n)
{
    map *m = jj_new_map(&r->j, n->n / 2);
    for (uint32_t i = 0; i < n->n; i += 2) {
        value key = eval(r, n->kid[i]);
        jj_map_set(&r->j, m, key, eval(r, n->kid[i + 1]));
    }
    return (value){.type = V_MAP, .map = m};
}

static value eval_choice(render *r, const node *n)
{
    if (jj_true(eval(r, n->kid[0]))) return eval(r, n->kid[1]);
    if (n->kid[2]) return eval(r, n->kid[2]);
    value v = jj_literal(&r->j, "the else of an if expression");
    v.type = V_UNDEFINED;
    return v;
}

static value eval_slice(render *r, const node *n)
{
    value object = eval(r, n->kid[0]), part[3];
    for (int i = 0; i < 3; i++) part[i] = n->kid[i + 1] ? eval(r, n->kid[i + 1]) : (value){.type = V_ABSENT};
    r->j.at = n->at;
    return jj_slice(&r->j, object, part);
}

static value eval_sign(render *r, const node *n)
{
    value v = eval(r, n->kid[0]);
    r->j.at = n->at;
    if (n->kind == N_NEGATE) return jj_negate(&r->j, v);
    return v.type == V_FLOAT ? v : jj_arith(&r->j, "+", jj_int(0), v);
}

static value eval_object(render *r, const node *n)
{
    value object = eval(r, n->kid[0]), key = n->kind == N_ITEM ? eval(r, n->kid[1]) : object;
    r->j.at = n->at;
    return n->kind == N_ITEM ? jj_get_item(&r->j, object, key) : jj_get_attr(&r->j, object, n->name);
}

static value eval_kind(render *r, const node *n)
{
    switch (n->kind) {
    case N_CONST: return n->constant;
    case N_NAME: return look_up(r, n);
    case N_LIST:
    case N_TUPLE: return eval_list(r, n);
    case N_MAP: return eval_map(r, n);
    case N_OR:
    case N_AND: return eval_logic(r, n);
    case N_NOT: return jj_bool(!jj_true(eval(r, n->kid[0])));
    case N_COMPARE: return eval_compare(r, n);
    case N_ARITH: return eval_arith(r, n);
    case N_CONCAT: return eval_concat(r, n);
    case N_NEGATE:
    case N_PLUS: return eval_sign(r, n);
    case N_CHOICE: return eval_choice(r, n);
    case N_ATTR:
    case N_ITEM: return eval_object(r, n);
    case N_SLICE: return eval_slice(r, n);
    case N_CALL: return eval_call(r, n, (value){.type = V_ABSENT});
    default: return eval_builtin(r, n);
    }
}

static value eval(render *r, const node *n)
{
    r->j.at = n->at;
    jj_tick(&r->j, 1);
    jj_enter(&r->j);
    value v = eval_kind(r, n);
    r->j.depth--;
    return v;
}

/* ---- tags ---- */

/* The items for which the condition holds; it sees the target, but not `loop`. */
static const list *filter_items(render *r, const node *n, const list *items)
{
    if (!n->kid[2]) return items;
    list *kept = jj_new_list(&r->j, items->n, K_LIST);
    kept->n = 0;
    frame *before = r->frame;
    push(r, before);
    for (size_t i = 0; i < items->n; i++) {
        assign(r, n->kid[0], items->v[i]);
        if (jj_true(eval(r, n->kid[2]))) kept->v[kept->n++] = items->v[i];
    }
    r->frame = before;
    return kept;
}

static flow exec_for(render *r, const node *n)
{
    value over = eval(r, n->kid[1]);
    r->j.at = n->at;
    const list *items = filter_items(r, n, jj_items(&r->j, over));
    frame *before = r->frame, *f = push(r, before);
    text name = {"loop", (const uint8_t *)"\1\1\1\1", 4};
    loop *state = jj_array(&r->j, 1, sizeof *state);
    flow how = NEXT;
    for (size_t i = 0; i < items->n && how != BREAK; i++) {
        if (f->captured) {
            f = push(r, before);
            state = jj_array(&r->j, 1, sizeof *state);
        }
        f->n = 0;
        *state = (loop){items, i};
        set_name(r, name, jj_hash(name), (value){.type = V_LOOP, .loop = state});
        assign(r, n->kid[0], items->v[i]);
        how = exec(r, n->kid[3]);
    }
    r->frame = before;
    if (items->n == 0 && n->kid[4]) { /* sees no loop of its own, but sets names in a scope of its own */
        push(r, before);
        how = exec(r, n->kid[4]);
        r->frame = before;
        return how;
    }
    return NEXT;
}

static flow exec_if(render *r, const node *n)
{
    uint32_t i = 0;
    while (i + 1 < n->n && !jj_true(eval(r, n->kid[i]))) i += 2;
    const node *body = i + 1 < n->n ? n->kid[i + 1] : n->kid[n->n - 1];
    return body ? exec(r, body) : NEXT;
}

static void exec_set_block(render *r, const node *n)
{
    frame *before = r->frame, *scope = push(r, before);
    r->frame = before;
    value outer = r->block, v = jj_string(&r->j, capture(r, n->kid[1], scope));
    if (n->kid[2]) {
        r->block = v;
        v = eval(r, n->kid[2]);
        r->block = outer;
    }
    assign(r, n->kid[0], v);
}

static flow exec_body(render *r, const node *n)
{
    flow how = NEXT;
    for (uint32_t i = 0; i < n->n && how == NEXT; i++) how = exec(r, n->kid[i]);
    return how;
}

static flow exec_scope(render *r, const node *n)
{
    frame *before = r->frame;
    push(r, before);
    flow how = exec(r, n->kid[0]);
    r->frame = before;
    return how;
}

static flow exec_kind(render *r, const node *n)
{
    switch (n->kind) {
    case N_BODY: return exec_body(r, n);
    case N_DATA: jj_put(r->out, n->name); return NEXT;
    case N_PRINT: jj_print(r->out, eval(r, n->kid[0])); return NEXT;
    case N_IF: return exec_if(r, n);
    case N_FOR: return exec_for(r, n);
    case N_SET: assign(r, n->kid[0], eval(r, n->kid[1])); return NEXT;
    case N_SET_BLOCK: exec_set_block(r, n); return NEXT;
    case N_MACRO: set_name(r, n->name, n->hash, make_macro(r, n)); return NEXT;
    case N_CALL_BLOCK: jj_print(r->out, eval_call(r, n->kid[1], make_macro(r, n->kid[0]))); return NEXT;
    case N_SCOPE: return exec_scope(r, n);
    case N_BREAK: return BREAK;
    default: return CONTINUE;
    }
}

static flow exec(render *r, const node *n)
{
    r->j.at = n->at;
    jj_tick(&r->j, 1);
    jj_enter(&r->j);
    flow how = exec_kind(r, n);
    r->j.depth--;
    return how;
}

/* ---- entry ---- */

/* Everything it changes is in r or in out, which the caller holds: safe across the jump. */
static bool run(render *r, buf *out)
{
    if (setjmp(r->j.jump)) return false;
    value globals = jj_import(&r->j, r->given);
    if (globals.type != V_MAP) jj_fail(&r->j, "the values to render with are %s, not a dict", jj_type_name(globals));
    r->globals = globals.map;
    static const text name = {"now", NULL, 3};
    const value *now = jj_map_get(&r->j, r->globals, (value){.type = V_STRING, .s = &name});
    if (now && now->type == V_STRING) r->j.now = now->s;
    r->out = out;
    push(r, NULL);
    exec(r, r->t->body);
    return true;
}

int32_t jinja_render(const jinja *t, const jinja_value *globals, jinja_text *out, jv_err *err)
{
    *out = (jinja_text){0};
    render r = {.j = {.err = err, .source = t->job.source}, .t = t, .given = globals};
    buf text_out = {.j = &r.j, .max = JINJA_MAX_OUTPUT, .heap = true};
    text_out.p = malloc(1);
    text_out.trust = malloc(1);
    bool ok = text_out.p && text_out.trust;
    if (!ok) r.j.code = jv_fail(err, JV_FATAL, "no memory for the chat template");
    if (ok) ok = run(&r, &text_out);
    jj_free_all(&r.j);
    if (!ok) {
        free(text_out.p);
        free(text_out.trust);
        return r.j.code;
    }
    text_out.p[text_out.n] = 0;
    *out = (jinja_text){text_out.p, text_out.trust, text_out.n};
    return JV_OK;
}
