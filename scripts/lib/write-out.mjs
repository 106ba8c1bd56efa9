import ts from 'typescript';

// Kernels keep their sums in locals, which V8 keeps in registers, and so have to be written out: AssemblyScript has no arrays of locals, does not unroll, and
// what it inlines cannot change its caller's. This writes them out before it compiles them. In src/kernels one may use
//
//   let c: Registers<v128>;                                a local for every c[0], c[1], … or c[0][1], … that is used
//   unroll: for (let i = 0; i < 4; i++) c[i] = …;          the body for each i, which is a number in it
//   function sums<ROWS extends number>(…)                  a function for each number, or truth value, that it is called with: sums<6>(…)
//
// What is known when it is written out is worked out: arithmetic of those numbers, a `const` that is nothing else, the conditions of `if` and `?:`.
// A local is declared where it is first assigned, so the outcome is what one would write by hand.

const { SyntaxKind: Kind } = ts;

/** Writes out all kernels, given and returned as texts by module name (`tiles` for tiles.ts). */
export function writeOut(texts) {
  const modules = new Map(Object.entries(texts).map(([name, text]) => [name, new Module(name, text)]));
  for (const module of modules.values()) module.link(modules);
  for (const module of modules.values()) module.writeOwn();
  for (let again = true; again; ) again = [...modules.values()].some((module) => module.writeAsked());
  return Object.fromEntries([...modules].map(([name, module]) => [name, module.text()]));
}

const instanceName = (name, values) => [name, ...values].join('_');

class Module {
  constructor(name, text) {
    this.name = name;
    this.source = ts.createSourceFile(`${name}.ts`, text, ts.ScriptTarget.Latest, true);
    /** Functions with parameters that are numbers, by name. */
    this.templates = new Map();
    /** The templates of other modules, by their names here. */
    this.imported = new Map();
    for (const node of this.source.statements) {
      if (ts.isFunctionDeclaration(node) && node.typeParameters?.some(isValue))
        this.templates.set(node.name.text, new Template(node));
    }
  }

  link(modules) {
    for (const node of this.source.statements.filter(ts.isImportDeclaration)) {
      const other = modules.get(node.moduleSpecifier.text.replace(/^\.\//, ''));
      for (const { name } of node.importClause?.namedBindings?.elements ?? []) {
        const template = other?.templates.get(name.text);
        if (template) this.imported.set(name.text, { template, used: new Set() });
      }
    }
  }

  /** Everything but templates and imports; asks for the templates it calls. */
  writeOwn() {
    this.parts = new Map();
    for (const node of this.source.statements) {
      if (this.templates.has(node.name?.text) || ts.isImportDeclaration(node)) continue;
      const writer = new Writer(this, new Map());
      this.parts.set(node, ts.isFunctionDeclaration(node) ? writer.functionText(node) : writer.text(node));
    }
  }

  /** What was asked for and is not written yet; returns whether there was any. */
  writeAsked() {
    const asked = [...this.templates.values()].flatMap((template) =>
      template.takeAsked().map((values) => [template, values]),
    );
    for (const [template, values] of asked) {
      const constants = new Map(template.names.map((name, i) => [name, values[i]]));
      const name = instanceName(template.node.name.text, values);
      template.instances.push(new Writer(this, constants).functionText(template.node, name));
    }
    return asked.length > 0;
  }

  text() {
    return this.source.statements
      .map((node) => {
        if (ts.isImportDeclaration(node)) return this.importText(node);
        const template = this.templates.get(node.name?.text);
        return template ? template.instances.join('\n') : this.parts.get(node);
      })
      .join('\n');
  }

  importText(node) {
    const names = (node.importClause?.namedBindings?.elements ?? []).flatMap((element) => {
      const used = this.imported.get(element.name.text)?.used;
      return used ? [...used] : [element.getText()];
    });
    return names.length === 0 ? '' : `import { ${names.join(', ')} } from '${node.moduleSpecifier.text}';`;
  }

  /** The name of the instance of a template that a call means; undefined where it calls something else. */
  instanceFor(name, values) {
    const own = this.templates.get(name);
    const imported = this.imported.get(name);
    const template = own ?? imported?.template;
    if (!template) return undefined;
    template.ask(values);
    const instance = instanceName(name, values);
    imported?.used.add(instance);
    return instance;
  }

  isTemplate(name) {
    return this.templates.has(name) || this.imported.has(name);
  }

  fail(node, what) {
    const { line } = this.source.getLineAndCharacterOfPosition(node.getStart());
    throw new Error(`src/kernels/${this.name}.ts:${line + 1}: ${what}`);
  }
}

/** Whether a type parameter stands for a number or a truth value. */
const isValue = ({ constraint }) => constraint?.kind === Kind.NumberKeyword || constraint?.kind === Kind.BooleanKeyword;

class Template {
  constructor(node) {
    this.node = node;
    this.names = node.typeParameters.filter(isValue).map(({ name }) => name.text);
    this.instances = [];
    this.known = new Set();
    this.asked = [];
  }

  ask(values) {
    const key = values.join();
    if (this.known.has(key)) return;
    this.known.add(key);
    this.asked.push(values);
  }

  takeAsked() {
    return this.asked.splice(0);
  }
}

/** Writes out one function. `constants` are the values of names. */
class Writer {
  constructor(module, constants) {
    this.module = module;
    this.constants = constants;
    /** Types of the register arrays in scope, by name. */
    this.registers = new Map();
    /** The registers that the statement at hand mentions. */
    this.mentioned = new Set();
  }

  functionText(node, name = node.name.text) {
    const types =
      node.typeParameters?.filter((parameter) => !isValue(parameter)).map((parameter) => parameter.getText()) ?? [];
    const parameters = node.parameters.map((parameter) => this.text(parameter)).join(', ');
    const head = node.modifiers?.map((modifier) => modifier.getText()).join('\n') ?? '';
    const returned = node.type ? `: ${node.type.getText()}` : '';
    return `${head} function ${name}${types.length > 0 ? `<${types.join(', ')}>` : ''}(${parameters})${returned} ${this.block(node.body)}`;
  }

  block(node) {
    return `{\n${this.scope(node.statements)}\n}`;
  }

  /** The statements of a block: what they declare ends with it. */
  scope(nodes) {
    const { registers, constants } = this;
    this.registers = new Map(registers);
    this.constants = new Map(constants);
    const items = this.flattened(nodes);
    Object.assign(this, { registers, constants });
    return declared(items).join('\n');
  }

  /** Statements written out, those of unrolled loops and of conditions that are known among the others. */
  flattened(nodes) {
    return nodes.flatMap((node) => {
      if (ts.isLabeledStatement(node) && node.label.text === 'unroll') return this.unrolled(node);
      if (ts.isIfStatement(node)) {
        const value = this.value(node.expression);
        if (value !== undefined) return this.flattenedBody(value ? node.thenStatement : node.elseStatement);
      }
      if (ts.isVariableStatement(node)) {
        const { declarations } = node.declarationList;
        if (isRegisters(declarations[0])) return declarations.map((each) => this.registersOf(each));
        if (this.isKnown(node)) return this.learn(declarations);
      }
      return [this.item(node)];
    });
  }

  flattenedBody(node) {
    if (!node) return [];
    if (!ts.isBlock(node)) return this.flattened([node]);
    // With locals of its own, it stays a block.
    const local = node.statements.some((each) => ts.isVariableStatement(each) && !this.isKnown(each));
    return local ? [this.item(node)] : this.flattened(node.statements);
  }

  unrolled({ statement: loop }) {
    const { initializer, condition, incrementor, statement } = ts.isForStatement(loop) ? loop : {};
    const [counter] = initializer?.declarations ?? [];
    if (!counter?.initializer || !condition || !incrementor)
      this.module.fail(loop, 'what is unrolled is a loop that counts');
    const name = counter.name.text;
    if (this.constants.has(name)) this.module.fail(counter, `${name} is a number already`);
    const items = [];
    this.constants.set(name, this.known(counter.initializer));
    while (this.known(condition)) {
      if (items.length > 10_000) this.module.fail(loop, 'this loop does not end');
      items.push(...this.flattenedBody(statement));
      const step = ts.isBinaryExpression(incrementor) ? this.known(incrementor.right) : 1;
      const down = /^(--|-=)$/.test(incrementor.operatorToken?.getText() ?? ts.tokenToString(incrementor.operator));
      this.constants.set(name, this.constants.get(name) + (down ? -step : step));
    }
    this.constants.delete(name);
    return items;
  }

  /** Whether a declaration is of numbers that are known. */
  isKnown({ declarationList: { flags, declarations } }) {
    return flags & ts.NodeFlags.Const && declarations.every((each) => this.value(each.initializer) !== undefined);
  }

  /** For the rest of the block; in a loop that is unrolled until it comes around again. */
  learn(declarations) {
    for (const { name, initializer } of declarations) this.constants.set(name.text, this.known(initializer));
    return [];
  }

  registersOf(node) {
    const name = node.name.text;
    if (!isRegisters(node)) this.module.fail(node, 'registers are declared by themselves');
    const type = node.type.typeArguments[0].getText();
    this.registers.set(name, type);
    return { registers: name, type };
  }

  /** A statement written out, with the registers that it mentions and the one, if any, that it does nothing but assign. */
  item(node) {
    const outer = this.mentioned;
    this.mentioned = new Set();
    const text = this.statementText(node);
    const { expression } = ts.isExpressionStatement(node) ? node : {};
    let assigned;
    if (expression && ts.isBinaryExpression(expression) && expression.operatorToken.kind === Kind.EqualsToken) {
      const mentioned = this.mentioned;
      this.mentioned = new Set();
      this.text(expression.right);
      const target = this.register(expression.left);
      if (target && !this.mentioned.has(target)) assigned = target;
      this.mentioned = mentioned;
    }
    const item = { text, mentioned: this.mentioned, assigned };
    this.mentioned = new Set([...outer, ...item.mentioned]);
    return item;
  }

  statementText(node) {
    if (ts.isBlock(node)) return this.block(node);
    if (ts.isIfStatement(node)) {
      const other = node.elseStatement ? ` else ${this.body(node.elseStatement)}` : '';
      return `if (${this.text(node.expression)}) ${this.body(node.thenStatement)}${other}`;
    }
    if (ts.isForStatement(node)) {
      const [initializer, condition, incrementor] = [node.initializer, node.condition, node.incrementor].map((part) =>
        part ? this.text(part) : '',
      );
      return `for (${initializer}; ${condition}; ${incrementor}) ${this.body(node.statement)}`;
    }
    if (ts.isWhileStatement(node)) return `while (${this.text(node.expression)}) ${this.body(node.statement)}`;
    return this.text(node);
  }

  /** What a loop or a condition holds. */
  body(node) {
    return ts.isBlock(node) ? this.block(node) : `{\n${this.scope([node])}\n}`;
  }

  /** An expression, or a statement without others in it. */
  text(node) {
    if (hasBody(node)) return this.statementText(node);
    if (ts.isLabeledStatement(node))
      this.module.fail(node, 'what is unrolled stands in a block, a condition or a loop');
    const value = this.value(node);
    if (value !== undefined) return typeof value === 'number' && value < 0 ? `(${value})` : String(value);
    if (ts.isConditionalExpression(node)) {
      const chosen = this.value(node.condition);
      if (chosen !== undefined) return `(${this.text(chosen ? node.whenTrue : node.whenFalse)})`;
    }
    if (ts.isBinaryExpression(node) && node.operatorToken.kind === Kind.AmpersandAmpersandToken) {
      if (this.value(node.left) === true) return this.text(node.right);
      if (this.value(node.right) === true) return this.text(node.left);
    }
    const register = this.register(node);
    if (register) {
      this.mentioned.add(register);
      return register;
    }
    if (ts.isCallExpression(node) && ts.isIdentifier(node.expression) && this.module.isTemplate(node.expression.text))
      return this.callText(node);
    if ((ts.isVariableDeclaration(node) || ts.isParameter(node)) && this.constants.has(node.name.text))
      this.module.fail(node, `${node.name.text} is a number here`);
    return this.generalText(node);
  }

  /** The text of a node as it stands, but for what its parts become. */
  generalText(node) {
    const { text } = this.module.source;
    let out = '';
    let at = node.getStart();
    ts.forEachChild(node, (child) => {
      out += text.slice(at, child.getStart()) + this.text(child);
      at = child.end;
    });
    return out + text.slice(at, node.end);
  }

  callText(node) {
    const name = node.expression.text;
    const values = [];
    const types = [];
    for (const argument of node.typeArguments ?? []) {
      const value = this.typeValue(argument);
      if (value === undefined) types.push(argument.getText());
      else values.push(value);
    }
    const instance = this.module.instanceFor(name, values);
    const passed = node.arguments.map((argument) => this.text(argument)).join(', ');
    return `${instance}${types.length > 0 ? `<${types.join(', ')}>` : ''}(${passed})`;
  }

  typeValue(node) {
    if (ts.isLiteralTypeNode(node)) return this.value(node.literal, true);
    return ts.isTypeReferenceNode(node) ? this.constants.get(node.typeName.getText()) : undefined;
  }

  /** `c[1][2]` of registers as the name of a local; undefined for anything else. */
  register(node) {
    const indexes = [];
    let base = node;
    for (; ts.isElementAccessExpression(base); base = base.expression) indexes.unshift(base.argumentExpression);
    if (!ts.isIdentifier(base) || !this.registers.has(base.text)) return undefined;
    if (indexes.length === 0) this.module.fail(node, `${base.text} are registers: which of them?`);
    return [base.text, ...indexes.map((index) => this.known(index))].join('$');
  }

  known(node) {
    const value = this.value(node, true);
    if (value === undefined) this.module.fail(node, `${node.getText()} is not known when this is written out`);
    return value;
  }

  /** The value of an expression of numbers that are known; of one without a name only where `literal` says that it is wanted. */
  value(node, literal = false) {
    if (!literal && !this.names(node)) return undefined;
    if (ts.isNumericLiteral(node)) return Number(node.text);
    if (node.kind === Kind.TrueKeyword) return true;
    if (node.kind === Kind.FalseKeyword) return false;
    if (ts.isIdentifier(node)) return this.constants.get(node.text);
    if (ts.isParenthesizedExpression(node)) return this.value(node.expression, true);
    if (ts.isPrefixUnaryExpression(node)) return unary(node.operator, this.value(node.operand, true));
    if (ts.isConditionalExpression(node)) {
      const chosen = this.value(node.condition, true);
      return chosen === undefined ? undefined : this.value(chosen ? node.whenTrue : node.whenFalse, true);
    }
    if (!ts.isBinaryExpression(node)) return undefined;
    const left = this.value(node.left, true);
    const right = this.value(node.right, true);
    const operator = node.operatorToken.getText();
    // One side is enough.
    if (operator === '&&' && (left === false || right === false)) return false;
    if (operator === '||' && (left === true || right === true)) return true;
    if (left === undefined || right === undefined) return undefined;
    const result = BINARY[operator]?.(left, right);
    if (typeof result === 'number' && !Number.isInteger(result)) this.module.fail(node, 'this is no whole number');
    return result;
  }

  /** Whether an expression has a name in it whose value is known. */
  names(node) {
    if (ts.isIdentifier(node)) return this.constants.has(node.text);
    return ts.forEachChild(node, (child) => this.names(child) || undefined) ?? false;
  }
}

const isRegisters = ({ type, initializer }) =>
  !initializer && type && ts.isTypeReferenceNode(type) && type.typeName.getText() === 'Registers';

const hasBody = (node) =>
  ts.isBlock(node) || ts.isIfStatement(node) || ts.isForStatement(node) || ts.isWhileStatement(node);

function unary(operator, value) {
  if (value === undefined) return undefined;
  if (operator === Kind.MinusToken) return -value;
  return operator === Kind.ExclamationToken ? !value : undefined;
}

const BINARY = {
  '+': (a, b) => a + b,
  '-': (a, b) => a - b,
  '*': (a, b) => a * b,
  '/': (a, b) => a / b,
  '%': (a, b) => a % b,
  '<<': (a, b) => a << b,
  '>>': (a, b) => a >> b,
  '&': (a, b) => a & b,
  '<': (a, b) => a < b,
  '<=': (a, b) => a <= b,
  '>': (a, b) => a > b,
  '>=': (a, b) => a >= b,
  '==': (a, b) => a === b,
  '!=': (a, b) => a !== b,
  '&&': (a, b) => a && b,
  '||': (a, b) => a || b,
};

/** The texts of a block's statements, with every register declared: by its first assignment where that stands in the block, else in front. */
function declared(items) {
  const owned = items.filter(({ registers }) => registers);
  const texts = items.map(({ text }) => text);
  for (const { registers, type } of owned) {
    const at = items.findIndex((item) => item.registers === registers);
    const names = new Set(
      items.flatMap(({ mentioned = [] }) => [...mentioned]).filter((name) => name.startsWith(`${registers}$`)),
    );
    const before = [];
    for (const name of names) {
      const first = items.findIndex(({ mentioned }) => mentioned?.has(name));
      if (items[first].assigned === name) texts[first] = `let ${texts[first]}`;
      else before.push(`let ${name}: ${type};`);
    }
    texts[at] = before.join('\n');
  }
  return texts.filter((text) => text !== '');
}
