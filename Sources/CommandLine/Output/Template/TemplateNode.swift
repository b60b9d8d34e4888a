/// A part of a template that was read.
indirect enum TemplateNode {
    case text(String)
    case action(TemplatePipeline)
    case condition(TemplatePipeline, [TemplateNode], otherwise: [TemplateNode])
    case range(TemplatePipeline, [TemplateNode], otherwise: [TemplateNode])
    case with(TemplatePipeline, [TemplateNode], otherwise: [TemplateNode])
    case leave
    case next
}

/// `$a, $b := command | command`
struct TemplatePipeline {
    var variables: [String] = []
    /// `=`: the variable is there already.
    var isAssignment = false
    var commands: [TemplateCommand] = []
}

/// An operand with its arguments, and where it stands for errors.
struct TemplateCommand {
    var operands: [TemplateOperand]
    var source: String
    var column: Int
}

indirect enum TemplateOperand {
    case dot
    case null
    case bool(Bool)
    case int(Int64)
    case double(Double)
    case string(String)
    case function(String)
    /// `.A.B`
    case field([String])
    /// `$x.A.B`
    case variable(String, [String])
    /// `(…).A.B`
    case pipeline(TemplatePipeline, [String])
}
